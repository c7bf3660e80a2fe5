#include "core/forward/attention.h"

#include <algorithm>
#include <cmath>

#include "core/forward/operations.h"

namespace kappascope {
namespace {

// Turns the pairs of the first n of each head, one way or the other; x [T,heads,D].
at::Tensor rotate(const at::Tensor& x, const Rotary& rotary, const RotarySpec& spec) {
  const auto n = spec.width, rest = x.size(2) - n;
  const at::Tensor x1 = spec.pairs ? x.slice(2, 0, n, 2) : x.narrow(2, 0, n / 2);
  const at::Tensor x2 = spec.pairs ? x.slice(2, 1, n, 2) : x.narrow(2, n / 2, n / 2);
  const at::Tensor cos = rotary.cos.unsqueeze(1), sin = rotary.sin.unsqueeze(1);
  const std::vector<at::Tensor> turned =
      spec.nanochat ? std::vector<at::Tensor>{x1 * cos + x2 * sin, x2 * cos - x1 * sin}
                    : std::vector<at::Tensor>{x1 * cos - x2 * sin, x2 * cos + x1 * sin};
  const at::Tensor result = spec.pairs ? at::stack(turned, 3).flatten(2) : at::cat(turned, 2);
  return rest > 0 ? at::cat({result, x.narrow(2, n, rest)}, 2) : result;
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
    const double amplitude = rotary_amplitude(spec, tokens);
    return {(angle.cos() * amplitude).to(at::kFloat).to(device),
            (angle.sin() * amplitude).to(at::kFloat).to(device)};
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
  std::vector<std::int64_t> lengths;
  for (std::int64_t i = 0; i < call.sequence_count(); ++i) {
    lengths.push_back(call.sequence_end(i) - call.sequence_begin(i));
  }
  const std::int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  for (const LayerSpec& layer : architecture.layers) {
    const RotarySpec& spec = layer.attention.rotary;
    const auto same = [&](const auto& table) { return table.first == spec; };
    if (!layer.attends() || std::any_of(tables_.begin(), tables_.end(), same)) { continue; }
    // Some angles follow from the length of the sequence.
    const bool own =
        spec.scaling == RotaryScaling::dynamic || spec.scaling == RotaryScaling::longrope;
    const Rotary all = rotary_table(longest, spec, device);
    std::vector<at::Tensor> cos, sin;
    for (const std::int64_t length : lengths) {
      const Rotary table = own && length < longest ? rotary_table(length, spec, device) : all;
      cos.push_back(table.cos.narrow(0, 0, length));
      sin.push_back(table.sin.narrow(0, 0, length));
    }
    tables_.emplace_back(spec, lengths.size() == 1 ? all : Rotary{at::cat(cos), at::cat(sin)});
  }
}

const Rotary& RotaryTables::of(const RotarySpec& spec) const {
  for (const auto& [known, table] : tables_) {
    if (known == spec) { return table; }
  }
  fail(ExitCode::internal, {}, "a layer without a rotary table");
}

namespace {

// q, k [heads,T,D] and v [heads,T,its width], for each head; `gate` [T,heads·D] undefined: none.
struct Heads {
  at::Tensor q, k, v, gate;
};

Heads projected_heads(const at::Tensor& x, const at::Tensor& ids, const AttentionWeights& weights,
                      const Rotary& rotary, const AttentionSpec& spec) {
  const auto tokens = x.size(0), width = spec.head_width;
  const auto per_kv = spec.heads / spec.kv_heads;
  const auto heads_of = [&](const at::Tensor& weight, const at::Tensor& bias,
                            const at::Tensor& whole_norm, std::int64_t heads) {
    at::Tensor all = project(x, weight, bias);
    if (whole_norm.defined()) { all = rms_norm(all, spec.norm_spec, whole_norm); }
    if (spec.clip) { all = all.clamp(-*spec.clip, *spec.clip); }
    return all.view({tokens, heads, -1});
  };
  const auto turned = [&](const at::Tensor& all, const at::Tensor& head_norm) {
    const bool before = spec.norm == QueryKeyNorm::per_head;
    const at::Tensor result =
        rotate(before ? rms_norm(all, spec.norm_spec, head_norm) : all, rotary, spec.rotary);
    return spec.norm == QueryKeyNorm::after_rotary ? rms_norm(result, spec.norm_spec, {}) : result;
  };
  const bool whole = spec.norm == QueryKeyNorm::whole;
  const at::Tensor none;
  Heads heads;
  at::Tensor q = heads_of(weights.c_q, weights.q_bias, whole ? weights.q_norm : none, spec.heads);
  if (spec.gated) {
    heads.gate = q.narrow(2, width, width).reshape({tokens, -1});
    q = q.narrow(2, 0, width);
  }
  const at::Tensor k =
      heads_of(weights.c_k, weights.k_bias, whole ? weights.k_norm : none, spec.kv_heads);
  at::Tensor v = heads_of(weights.c_v, weights.v_bias, none, spec.kv_heads);
  if (weights.value_embed.defined()) { v = add_value_embedding(v, x, ids, weights); }
  heads.q = turned(q, weights.q_norm).transpose(0, 1).contiguous();
  heads.k = turned(k, weights.k_norm).transpose(0, 1).repeat_interleave(per_kv, 0);
  heads.v = v.transpose(0, 1).repeat_interleave(per_kv, 0);
  return heads;
}

// LatentSpec.
Heads latent_heads(const at::Tensor& x, const AttentionWeights& weights, const Rotary& rotary,
                   const AttentionSpec& spec) {
  const LatentSpec& latent = *spec.latent;
  const LatentWeights& from = weights.latent;
  const auto tokens = x.size(0), still = spec.head_width - latent.turned;
  at::Tensor narrow = x;
  if (from.query.defined()) {
    narrow = rms_norm(project(x, from.query, from.query_bias), latent.norm, from.query_norm);
  }
  const at::Tensor q = project(narrow, weights.c_q).view({tokens, spec.heads, -1});
  const at::Tensor both = project(x, from.key, from.key_bias);  // [T, rank + turned]
  const at::Tensor shared =
      rotate(both.narrow(1, latent.rank, latent.turned).unsqueeze(1), rotary, spec.rotary);
  const at::Tensor normal = rms_norm(both.narrow(1, 0, latent.rank), latent.norm, from.key_norm);
  const at::Tensor kv = project(normal, from.heads).view({tokens, spec.heads, -1});
  const at::Tensor turned = rotate(q.narrow(2, still, latent.turned), rotary, spec.rotary);
  const at::Tensor all_q = at::cat({q.narrow(2, 0, still), turned}, 2);
  const at::Tensor all_k =
      at::cat({kv.narrow(2, 0, still), shared.expand({-1, spec.heads, -1})}, 2);
  return {all_q.transpose(0, 1).contiguous(),
          all_k.transpose(0, 1).contiguous(),
          kv.narrow(2, still, latent.value_width).transpose(0, 1).contiguous(),
          {}};
}

}  // namespace

at::Tensor attention(const at::Tensor& x, const at::Tensor& ids, const AttentionWeights& weights,
                     const Rotary& rotary, const AttentionSpec& spec, const ForwardCall& call,
                     std::int64_t rows_at_once) {
  const Heads heads = spec.latent ? latent_heads(x, weights, rotary, spec)
                                  : projected_heads(x, ids, weights, rotary, spec);
  // In a block of rows a masked NaN would still reach rows that do not see it (0·NaN); row by row
  // it cannot, because a row's keys are then exactly those it sees.
  const bool finite = at::stack({heads.k.sum(), heads.v.sum()}).isfinite().all().item<bool>();
  const std::int64_t block = finite ? rows_at_once : 1;
  std::vector<at::Tensor> mixed;  // [heads,rows,D]
  for (std::int64_t i = 0; i < call.sequence_count(); ++i) {
    const std::int64_t begin = call.sequence_begin(i), end = call.sequence_end(i);
    for (std::int64_t first = begin; first < end; first += block) {
      const std::int64_t last = std::min(end, first + block);
      mixed.push_back(attend(heads.q, heads.k, heads.v, begin, first, last, spec, weights.sinks));
    }
  }
  at::Tensor merged = at::cat(mixed, 1).transpose(0, 1).reshape({x.size(0), -1});
  if (heads.gate.defined()) { merged = merged * heads.gate.sigmoid(); }
  return project(merged, weights.c_proj, weights.o_bias);
}

}  // namespace kappascope
