// Causal grouped-query attention with rotary positions, QK norm, window and value embeddings
// (SPEC §1.4).
#pragma once

#include <ATen/ATen.h>

#include "core/forward/weights.h"

namespace kappascope {

// cos and sin of the rotary angles, base 10000, rounded to bfloat16 as the reference keeps them.
struct Rotary {
  at::Tensor cos;  // [T, D/2] float32
  at::Tensor sin;  // [T, D/2]
};
Rotary rotary_table(std::int64_t tokens, std::int64_t head_width, at::Device device);

// x [T,H] (already normed), ids [T] int64 → [T,H]. Scores of `rows_at_once` queries are in memory
// at once. A token whose numbers are NaN spoils only tokens that see it.
at::Tensor attention(const at::Tensor& x, const at::Tensor& ids, const AttentionWeights& weights,
                     const Rotary& rotary, const AttentionSpec& spec, std::int64_t rows_at_once);

}  // namespace kappascope
