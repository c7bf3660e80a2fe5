#include "core/forward/attention.h"

#include <algorithm>
#include <cmath>

#include "core/forward/operations.h"

namespace kappascope {
namespace {

// Turns the two halves of the first n of each head, one way or the other; x [T,heads,D].
at::Tensor rotate(const at::Tensor& x, const Rotary& rotary, const RotarySpec& spec) {
  const auto half = spec.width / 2, rest = x.size(2) - spec.width;
  const at::Tensor x1 = x.narrow(2, 0, half), x2 = x.narrow(2, half, half);
  const at::Tensor cos = rotary.cos.unsqueeze(1), sin = rotary.sin.unsqueeze(1);
  std::vector<at::Tensor> parts =
      spec.nanochat ? std::vector<at::Tensor>{x1 * cos + x2 * sin, x2 * cos - x1 * sin}
                    : std::vector<at::Tensor>{x1 * cos - x2 * sin, x2 * cos + x1 * sin};
  if (rest > 0) { parts.push_back(x.narrow(2, spec.width, rest)); }
  return at::cat(parts, 2);
}

at::Tensor with_bias(at::Tensor x, const at::Tensor& bias) {
  return bias.defined() ? x + bias : x;
}

// v + 2σ(ve_gate · x[0:32]) · ve(id), per kv head; v [T,kv,D].
at::Tensor add_value_embedding(const at::Tensor& v, const at::Tensor& x, const at::Tensor& ids,
                               const AttentionWeights& weights) {
  const at::Tensor gate =
      2 * at::sigmoid(at::mm(x.narrow(1, 0, kValueGateInputs), weights.ve_gate.t()));
  const at::Tensor embedded = weights.value_embed.rows(ids);
  return v + gate.unsqueeze(2) * embedded.view(v.sizes());
}

// Rows [first, last) of softmax(scale·q kᵀ) v, all heads; q, k, v [heads,T,D] → [heads,rows,D].
// `begin`: of their sequence. `sinks` [heads]: a further logit, without a value; undefined: none.
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t begin,
                  std::int64_t first, std::int64_t last, const AttentionSpec& spec,
                  const at::Tensor& sinks) {
  const std::int64_t window = spec.window;
  const std::int64_t low = std::max(begin, first - window), keys = last - low;
  const at::Tensor queries = q.narrow(1, first, last - first) / (1 / spec.scale);
  at::Tensor scores = at::bmm(queries, k.narrow(1, low, keys).transpose(1, 2));
  if (last - first > 1) {
    const auto whole = at::TensorOptions(at::kLong).device(q.device());
    const at::Tensor i = at::arange(first, last, whole).unsqueeze(1);
    const at::Tensor j = at::arange(low, last, whole);
    scores.masked_fill_((j > i).logical_or(i - j > window), -INFINITY);
  }
  if (sinks.defined()) {
    const at::Tensor sink = sinks.view({-1, 1, 1}).expand({q.size(0), last - first, 1});
    return at::bmm(at::cat({scores, sink}, 2).softmax(-1).narrow(2, 0, keys),
                   v.narrow(1, low, keys));
  }
  return at::bmm(scores.softmax(-1), v.narrow(1, low, keys));
}

}  // namespace

Rotary rotary_table(std::int64_t tokens, const RotarySpec& spec, at::Device device) {
  if (!spec.nanochat) {
    std::vector<double> turns = rotary_frequencies(spec, tokens);
    const at::Tensor angle =
        at::outer(at::arange(tokens, at::kDouble), at::tensor(turns, at::kDouble));
    return {(angle.cos() * spec.amplitude).to(at::kFloat).to(device),
            (angle.sin() * spec.amplitude).to(at::kFloat).to(device)};
  }
  const at::Tensor channel = at::arange(0, spec.width, 2, at::kFloat);
  const at::Tensor frequency =
      at::pow(at::scalar_tensor(float(spec.base)), channel / spec.width).reciprocal();
  const at::Tensor angle = at::outer(at::arange(tokens, at::kFloat), frequency);
  return {angle.cos().to(at::kBFloat16).to(at::kFloat).to(device),
          angle.sin().to(at::kBFloat16).to(at::kFloat).to(device)};
}

RotaryTables::RotaryTables(const Architecture& architecture, const ForwardCall& call,
                           at::Device device) {
  std::int64_t longest = 0;
  std::vector<at::Tensor> places;
  for (std::int64_t i = 0; i < call.sequence_count(); ++i) {
    const std::int64_t length = call.sequence_end(i) - call.sequence_begin(i);
    longest = std::max(longest, length);
    places.push_back(at::arange(length, at::kLong));
  }
  for (const LayerSpec& layer : architecture.layers) {
    const RotarySpec& spec = layer.attention.rotary;
    const auto same = [&](const auto& table) { return table.first == spec; };
    if (std::any_of(tables_.begin(), tables_.end(), same)) { continue; }
    Rotary table = rotary_table(longest, spec, device);
    if (places.size() > 1) {
      const at::Tensor place = at::cat(places).to(device);
      table = {table.cos.index_select(0, place), table.sin.index_select(0, place)};
    }
    tables_.emplace_back(spec, std::move(table));
  }
}

const Rotary& RotaryTables::of(const RotarySpec& spec) const {
  for (const auto& [known, table] : tables_) {
    if (known == spec) { return table; }
  }
  fail(ExitCode::internal, {}, "a layer without a rotary table");
}

at::Tensor attention(const at::Tensor& x, const at::Tensor& ids, const AttentionWeights& weights,
                     const Rotary& rotary, const AttentionSpec& spec, const ForwardCall& call,
                     std::int64_t rows_at_once) {
  const auto tokens = x.size(0), width = spec.head_width;
  const auto per_kv = spec.heads / spec.kv_heads;
  const auto heads_of = [&](const at::Tensor& weight, const at::Tensor& bias,
                            const at::Tensor& whole_norm, std::int64_t heads) {
    at::Tensor all = with_bias(project(x, weight), bias);
    if (whole_norm.defined()) { all = rms_norm(all, spec.norm_spec, whole_norm); }
    if (spec.clip) { all = all.clamp(-*spec.clip, *spec.clip); }
    return all.view({tokens, heads, width});
  };
  const auto turned = [&](const at::Tensor& all, const at::Tensor& head_norm) {
    const bool before = spec.norm == QueryKeyNorm::per_head;
    const at::Tensor result =
        rotate(before ? rms_norm(all, spec.norm_spec, head_norm) : all, rotary, spec.rotary);
    return spec.norm == QueryKeyNorm::after_rotary ? rms_norm(result, spec.norm_spec, {}) : result;
  };
  const bool whole = spec.norm == QueryKeyNorm::whole;
  const at::Tensor none;
  at::Tensor q = heads_of(weights.c_q, weights.q_bias, whole ? weights.q_norm : none, spec.heads);
  at::Tensor k =
      heads_of(weights.c_k, weights.k_bias, whole ? weights.k_norm : none, spec.kv_heads);
  at::Tensor v = heads_of(weights.c_v, weights.v_bias, none, spec.kv_heads);
  if (weights.value_embed.defined()) { v = add_value_embedding(v, x, ids, weights); }
  q = turned(q, weights.q_norm).transpose(0, 1).contiguous();
  k = turned(k, weights.k_norm).transpose(0, 1).repeat_interleave(per_kv, 0);
  v = v.transpose(0, 1).repeat_interleave(per_kv, 0);

  // In a block of rows a masked NaN would still reach rows that do not see it (0·NaN); row by row
  // it cannot, because a row's keys are then exactly those it sees.
  const bool finite = at::stack({k.sum(), v.sum()}).isfinite().all().item<bool>();
  const std::int64_t block = finite ? rows_at_once : 1;
  std::vector<at::Tensor> mixed;  // [heads,rows,D]
  for (std::int64_t i = 0; i < call.sequence_count(); ++i) {
    const std::int64_t begin = call.sequence_begin(i), end = call.sequence_end(i);
    for (std::int64_t first = begin; first < end; first += block) {
      const std::int64_t last = std::min(end, first + block);
      mixed.push_back(attend(q, k, v, begin, first, last, spec, weights.sinks));
    }
  }
  return with_bias(project(at::cat(mixed, 1).transpose(0, 1).reshape({tokens, spec.heads * width}),
                           weights.c_proj),
                   weights.o_bias);
}

}  // namespace kappascope
