#include "core/forward/attention.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "core/forward/operations.h"

namespace kappascope {
namespace {

// Turns the pairs of the first n of each head, one way or the other; x [T,heads,D].
at::Tensor rotate(const at::Tensor& x, const Rotary& rotary, const RotarySpec& spec) {
  const auto n = spec.width, rest = x.size(2) - n;
  const at::Tensor cos = rotary.cos.unsqueeze(1), sin = rotary.sin.unsqueeze(1);
  const at::Tensor part = x.narrow(2, 0, n);
  at::Tensor result;
  if (spec.pairs) {
    const at::Tensor x1 = part.slice(2, 0, n, 2), x2 = part.slice(2, 1, n, 2);
    result = at::stack({x1 * cos - x2 * sin, x2 * cos + x1 * sin}, 3).flatten(2);
  } else {
    result = part * cos + part.roll(n / 2, 2) * sin;
  }
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

// q [heads,T,D], k and v [their heads,keys,width]: a head of k serves as many of q in a row. Row 0
// of q and of k are at these places of the sequence. `gate` [T,heads·D] undefined: none.
struct Heads {
  at::Tensor q, k, v, gate;
  std::int64_t query_place = 0, key_place = 0;
};

// Places [first, last) of softmax(scale·q kᵀ) v, all heads → [heads,rows,D]. `begin`: of their
// sequence. `sinks` [heads]: a further logit, without a value; undefined: none.
at::Tensor attend(const Heads& heads, std::int64_t begin, std::int64_t first, std::int64_t last,
                  const AttentionSpec& spec, const at::Tensor& sinks, AttentionMasks& masks) {
  const std::int64_t window = spec.window, count = heads.q.size(0), groups = heads.k.size(0);
  const std::int64_t low = std::max(begin, first - window), keys = last - low, rows = last - first;
  const at::Tensor queries = heads.q.narrow(1, first - heads.query_place, rows) / (1 / spec.scale);
  const at::Tensor seen = heads.k.narrow(1, low - heads.key_place, keys);
  const at::Tensor values = heads.v.narrow(1, low - heads.key_place, keys);
  at::Tensor scores = at::bmm(queries.view({groups, -1, heads.q.size(2)}), seen.transpose(1, 2))
                          .view({count, rows, keys});
  if (rows > 1) { scores = masks.hide(scores, first - low, window); }
  if (sinks.defined()) {
    const at::Tensor sink = sinks.view({-1, 1, 1}).expand({count, rows, 1});
    scores = at::cat({scores, sink}, 2).softmax(-1).narrow(2, 0, keys);
  } else {
    scores = scores.softmax(-1);
  }
  return at::bmm(scores.reshape({groups, -1, keys}), values).view({count, rows, values.size(2)});
}

}  // namespace

at::Tensor AttentionMasks::mask_of(const Band& band, at::Device device) const {
  const auto whole = at::TensorOptions(at::kLong).device(device);
  const at::Tensor i = at::arange(band.rows, whole).unsqueeze(1);
  const at::Tensor j = at::arange(-band.before, band.rows, whole);
  const at::Tensor hidden = (j > i).logical_or(i - j > band.window);
  if (!differentiated_) { return hidden; }
  return at::zeros(hidden.sizes(), at::TensorOptions(at::kFloat).device(device))
      .masked_fill_(hidden, -INFINITY);
}

at::Tensor AttentionMasks::hide(at::Tensor scores, std::int64_t ahead, std::int64_t window) {
  const std::int64_t rows = scores.size(1);
  auto band = std::find_if(bands_.begin(), bands_.end(), [&](const Band& known) {
    return known.rows == rows && known.window == window;
  });
  if (band == bands_.end()) {
    if (bands_.size() == kMost) { bands_.erase(bands_.begin()); }
    bands_.push_back({rows, window, -1, {}});
    band = bands_.end() - 1;
  }
  if (band->before < ahead) {  // twice as wide, so that it is made anew a few times in a long text
    band->before = std::min(window, std::max(ahead, 2 * band->before));
    band->mask = mask_of(*band, scores.device());
  }
  const at::Tensor mask = band->mask.narrow(1, band->before - ahead, ahead + rows);
  return differentiated_ ? scores + mask : scores.masked_fill_(mask, -INFINITY);
}

Rotary rotary_table(std::int64_t first, std::int64_t last, const RotarySpec& spec,
                    at::Device device) {
  // One angle for each channel, or for each pair of neighbours.
  const auto table = [&](const at::Tensor& cos, const at::Tensor& sin) -> Rotary {
    if (spec.pairs) { return {cos.to(device), sin.to(device)}; }
    const at::Tensor signed_sin = spec.nanochat ? sin : -sin;
    return {at::cat({cos, cos}, 1).to(device), at::cat({signed_sin, -signed_sin}, 1).to(device)};
  };
  if (!spec.nanochat) {
    std::vector<double> turns = rotary_frequencies(spec, last);
    const at::Tensor angle =
        at::outer(at::arange(first, last, at::kDouble), at::tensor(turns, at::kDouble));
    const double amplitude = rotary_amplitude(spec, last);
    return table((angle.cos() * amplitude).to(at::kFloat),
                 (angle.sin() * amplitude).to(at::kFloat));
  }
  const at::Tensor channel = at::arange(0, spec.width, 2, at::kFloat);
  const at::Tensor frequency =
      at::pow(at::scalar_tensor(float(spec.base)), channel / spec.width).reciprocal();
  const at::Tensor angle = at::outer(at::arange(first, last, at::kFloat), frequency);
  return table(angle.cos().to(at::kBFloat16).to(at::kFloat),
               angle.sin().to(at::kBFloat16).to(at::kFloat));
}

RotaryTables::RotaryTables(const Architecture& architecture, const ForwardCall& call,
                           at::Device device) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t i = 0; i < call.sequence_count(); ++i) {
    lengths.push_back(call.sequence_end(i) - call.sequence_begin(i));
  }
  const std::int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  const std::int64_t past = call.past();  // 0 with several sequences
  for (const LayerSpec& layer : architecture.layers) {
    const RotarySpec& spec = layer.attention.rotary;
    const auto same = [&](const auto& table) { return table.first == spec; };
    if (!layer.attends() || std::any_of(tables_.begin(), tables_.end(), same)) { continue; }
    // Some angles follow from the length of the sequence.
    const bool own =
        spec.scaling == RotaryScaling::dynamic || spec.scaling == RotaryScaling::longrope;
    const Rotary all = rotary_table(past, past + longest, spec, device);
    std::vector<at::Tensor> cos, sin;
    for (const std::int64_t length : lengths) {
      const Rotary table = own && length < longest ? rotary_table(0, length, spec, device) : all;
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

// k and v of the heads they have.
Heads projected_heads(const at::Tensor& x, const at::Tensor& ids, const AttentionWeights& weights,
                      const Rotary& rotary, const AttentionSpec& spec) {
  const auto tokens = x.size(0), width = spec.head_width;
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
  heads.k = turned(k, weights.k_norm).transpose(0, 1);
  heads.v = v.transpose(0, 1);
  return heads;
}

// Of LatentSpec: q [heads,T,D]; `latent` [1,T, rank + turned] the latent vector of k and v, normed,
// and the key that all heads share, turned.
struct Latents {
  at::Tensor q, latent;
};

Latents latents_of(const at::Tensor& x, const AttentionWeights& weights, const Rotary& rotary,
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
  const at::Tensor turned = rotate(q.narrow(2, still, latent.turned), rotary, spec.rotary);
  return {at::cat({q.narrow(2, 0, still), turned}, 2).transpose(0, 1).contiguous(),
          at::cat({normal, shared.squeeze(1)}, 1).unsqueeze(0)};
}

// Keys and values of every head, made of the latent vectors.
Heads latent_heads(const Latents& in, const AttentionWeights& weights, const AttentionSpec& spec) {
  const LatentSpec& latent = *spec.latent;
  const auto tokens = in.q.size(1), still = spec.head_width - latent.turned;
  const at::Tensor normal = in.latent[0].narrow(1, 0, latent.rank);
  const at::Tensor kv = project(normal, weights.latent.heads).view({tokens, spec.heads, -1});
  const at::Tensor shared = in.latent.narrow(2, latent.rank, latent.turned).transpose(0, 1);
  const at::Tensor k = at::cat({kv.narrow(2, 0, still), shared.expand({-1, spec.heads, -1})}, 2);
  return {in.q,
          k.transpose(0, 1).contiguous(),
          kv.narrow(2, still, latent.value_width).transpose(0, 1).contiguous(),
          {}};
}

// The matrices of every head that make keys, [heads,D − turned,rank], or values,
// [heads,value_width,rank], of a latent vector.
at::Tensor latent_matrix(const AttentionWeights& weights, const AttentionSpec& spec, bool keys) {
  const auto still = spec.head_width - spec.latent->turned;
  const at::Tensor all = weights.latent.heads.view({spec.heads, -1, spec.latent->rank});
  return keys ? all.narrow(1, 0, still) : all.narrow(1, still, spec.latent->value_width);
}

// The same scores with the latent vectors themselves as keys and values, which all heads share: it
// is the query that goes through the matrix of the keys.
Heads heads_of_latents(const Latents& in, const KeptKeys::Seen& seen,
                       const AttentionWeights& weights, const AttentionSpec& spec) {
  const auto still = spec.head_width - spec.latent->turned;
  const at::Tensor matrix = latent_matrix(weights, spec, true);
  const at::Tensor still_q = in.q.narrow(2, 0, still).to(matrix.scalar_type());
  const at::Tensor turned = in.q.narrow(2, still, spec.latent->turned);
  return {at::cat({at::bmm(still_q, matrix).to(at::kFloat), turned}, 2),
          seen.keys,
          seen.keys.narrow(2, 0, spec.latent->rank),
          {}};
}

// What the values are of what attention made of latent vectors, [heads,T,rank] → [heads,T,width].
at::Tensor values_of_latents(const at::Tensor& mixed, const AttentionWeights& weights,
                             const AttentionSpec& spec) {
  const at::Tensor matrix = latent_matrix(weights, spec, false);
  return at::bmm(mixed.to(matrix.scalar_type()), matrix.transpose(1, 2)).to(at::kFloat);
}

bool all_finite(const at::Tensor& k, const at::Tensor& v) {
  const at::Tensor sums = v.defined() ? at::stack({k.sum(), v.sum()}) : k.sum();
  return sums.isfinite().all().item<bool>();
}

// Attention over the call's tokens alone, or over `kept` and them: [heads,T,value_width].
class Attention {
 public:
  Attention(const AttentionWeights& weights, const AttentionSpec& spec, const ForwardCall& call,
            std::int64_t rows_at_once, AttentionMasks& masks, KeptKeys* kept)
      : weights_(weights),
        spec_(spec),
        call_(call),
        rows_(rows_at_once),
        masks_(masks),
        kept_(kept) {}

  at::Tensor of_latents(const Latents& in) {
    const at::Tensor none;
    const bool goes_on = kept_ && !kept_->empty();
    const std::optional<KeptKeys::Seen> seen = keep(in.latent, none);
    if (!goes_on) {
      const Heads heads = latent_heads(in, weights_, spec_);
      return over(heads, all_finite(heads.k, heads.v));
    }
    return values_of_latents(after(heads_of_latents(in, *seen, weights_, spec_), seen->first),
                             weights_, spec_);
  }

  at::Tensor of_heads(Heads heads) {
    const bool goes_on = kept_ && !kept_->empty();
    const std::optional<KeptKeys::Seen> seen = keep(heads.k, heads.v);
    if (!goes_on) {
      const auto served = spec_.heads / spec_.kv_heads;
      heads.k = heads.k.repeat_interleave(served, 0);
      heads.v = heads.v.repeat_interleave(served, 0);
      return over(heads, all_finite(heads.k, heads.v));
    }
    heads.k = seen->keys;
    heads.v = seen->values;
    return after(std::move(heads), seen->first);
  }

 private:
  std::optional<KeptKeys::Seen> keep(const at::Tensor& k, const at::Tensor& v) {
    if (!kept_) { return {}; }
    kept_->looked_at = false;
    return kept_->append(k, v, spec_.window);
  }

  at::Tensor after(Heads heads, std::int64_t key_place) {
    heads.key_place = key_place;
    heads.query_place = call_.past();
    // A single row sees its keys and no others, whatever is in them.
    if (heads.q.size(1) > 1 && !kept_->looked_at) {
      kept_->finite = kept_->finite && all_finite(heads.k, heads.v);
      kept_->looked_at = true;
    }
    return over(heads, kept_->finite);
  }

  // In a block of rows a masked NaN would still reach rows that do not see it (0·NaN); row by row
  // it cannot, because a row's keys are then exactly those it sees.
  at::Tensor over(const Heads& heads, bool finite) {
    const std::int64_t block = finite ? rows_ : 1;
    std::vector<at::Tensor> mixed;  // [heads,rows,D]
    for (std::int64_t i = 0; i < call_.sequence_count(); ++i) {
      const std::int64_t end = heads.query_place + call_.sequence_end(i);
      // With a cache there is one sequence, which began before.
      const std::int64_t begin = call_.sequence_begin(i);
      for (std::int64_t first = heads.query_place + begin; first < end; first += block) {
        mixed.push_back(attend(heads, begin, first, std::min(end, first + block), spec_,
                               weights_.sinks, masks_));
      }
    }
    return mixed.size() == 1 ? mixed.front() : at::cat(mixed, 1);
  }

  const AttentionWeights& weights_;
  const AttentionSpec& spec_;
  const ForwardCall& call_;
  const std::int64_t rows_;
  AttentionMasks& masks_;
  KeptKeys* const kept_;
};

}  // namespace

at::Tensor attention(const at::Tensor& x, const at::Tensor& ids, const AttentionWeights& weights,
                     const Rotary& rotary, const AttentionSpec& spec, const ForwardCall& call,
                     std::int64_t rows_at_once, AttentionMasks& masks, LayerState* kept) {
  Attention over(weights, spec, call, rows_at_once, masks, kept ? &kept->kept : nullptr);
  at::Tensor mixed, gate;  // mixed [heads,T,value_width]
  if (spec.latent) {
    mixed = over.of_latents(latents_of(x, weights, rotary, spec));
  } else {
    Heads heads = projected_heads(x, ids, weights, rotary, spec);
    gate = heads.gate;
    mixed = over.of_heads(std::move(heads));
  }
  at::Tensor merged = mixed.transpose(0, 1).reshape({x.size(0), -1});
  if (gate.defined()) { merged = merged * gate.sigmoid(); }
  return project(merged, weights.c_proj, weights.o_bias);
}

}  // namespace kappascope
