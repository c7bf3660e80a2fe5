#include "core/forward/attention.h"

#include <algorithm>
#include <cmath>

#include "core/forward/operations.h"

namespace kappascope {
namespace {

// (x1, x2) → (x1 cos + x2 sin, −x1 sin + x2 cos) on the two halves of each head; x [T,heads,D].
at::Tensor rotate(const at::Tensor& x, const Rotary& rotary) {
  const auto half = x.size(2) / 2;
  const at::Tensor x1 = x.narrow(2, 0, half), x2 = x.narrow(2, half, half);
  const at::Tensor cos = rotary.cos.unsqueeze(1), sin = rotary.sin.unsqueeze(1);
  return at::cat({x1 * cos + x2 * sin, x2 * cos - x1 * sin}, 2);
}

// v + 2σ(ve_gate · x[0:32]) · ve(id), per kv head; v [T,kv,D].
at::Tensor add_value_embedding(const at::Tensor& v, const at::Tensor& x, const at::Tensor& ids,
                               const AttentionWeights& weights) {
  const at::Tensor gate =
      2 * at::sigmoid(at::mm(x.narrow(1, 0, kValueGateInputs), weights.ve_gate.t()));
  const at::Tensor embedded = weights.value_embed.index_select(0, ids).to(at::kFloat);
  return v + gate.unsqueeze(2) * embedded.view(v.sizes());
}

// Rows [first, last) of softmax(q kᵀ/√D) v, all heads; q, k, v [heads,T,D] → [heads,rows,D].
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t first,
                  std::int64_t last, std::int64_t window) {
  const std::int64_t low = std::max<std::int64_t>(0, first - window), keys = last - low;
  const at::Tensor queries = q.narrow(1, first, last - first) / std::sqrt(double(q.size(2)));
  at::Tensor scores = at::bmm(queries, k.narrow(1, low, keys).transpose(1, 2));
  if (last - first > 1) {
    const auto whole = at::TensorOptions(at::kLong).device(q.device());
    const at::Tensor i = at::arange(first, last, whole).unsqueeze(1);
    const at::Tensor j = at::arange(low, last, whole);
    scores.masked_fill_((j > i).logical_or(i - j > window), -INFINITY);
  }
  return at::bmm(scores.softmax(-1), v.narrow(1, low, keys));
}

}  // namespace

Rotary rotary_table(std::int64_t tokens, std::int64_t head_width, at::Device device) {
  const at::Tensor channel = at::arange(0, head_width, 2, at::kFloat);
  const at::Tensor frequency =
      at::pow(at::scalar_tensor(10000.0f), channel / head_width).reciprocal();
  const at::Tensor angle = at::outer(at::arange(tokens, at::kFloat), frequency);
  return {angle.cos().to(at::kBFloat16).to(at::kFloat).to(device),
          angle.sin().to(at::kBFloat16).to(at::kFloat).to(device)};
}

at::Tensor attention(const at::Tensor& x, const at::Tensor& ids, const AttentionWeights& weights,
                     const Rotary& rotary, const AttentionSpec& spec, std::int64_t rows_at_once) {
  const auto tokens = x.size(0), width = spec.head_width;
  const auto per_kv = spec.heads / spec.kv_heads;
  at::Tensor q = project(x, weights.c_q).view({tokens, spec.heads, width});
  at::Tensor k = project(x, weights.c_k).view({tokens, spec.kv_heads, width});
  at::Tensor v = project(x, weights.c_v).view({tokens, spec.kv_heads, width});
  if (weights.value_embed.defined()) { v = add_value_embedding(v, x, ids, weights); }
  q = rms_norm(rotate(q, rotary)).transpose(0, 1).contiguous();
  k = rms_norm(rotate(k, rotary)).transpose(0, 1).repeat_interleave(per_kv, 0);
  v = v.transpose(0, 1).repeat_interleave(per_kv, 0);

  // In a block of rows a masked NaN would still reach rows that do not see it (0·NaN); row by row
  // it cannot, because a row's keys are then exactly those it sees.
  const bool finite = at::stack({k.sum(), v.sum()}).isfinite().all().item<bool>();
  const std::int64_t block = finite ? rows_at_once : 1;
  at::Tensor mixed = at::empty({spec.heads, tokens, width}, x.options());
  for (std::int64_t first = 0; first < tokens; first += block) {
    const std::int64_t last = std::min(tokens, first + block);
    mixed.narrow(1, first, last - first).copy_(attend(q, k, v, first, last, spec.window));
  }
  return project(mixed.transpose(0, 1).reshape({tokens, spec.heads * width}), weights.c_proj);
}

}  // namespace kappascope
