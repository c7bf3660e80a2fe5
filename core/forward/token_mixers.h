// What stands in the place of attention in some layers: a short convolution (LFM2) and the gated
// delta rule (Qwen3-Next), SPEC-families §9, §10.
#pragma once

#include <ATen/ATen.h>

#include "core/forward/token_cache.h"
#include "core/forward/weights.h"

namespace kappascope {

// The recurrence of DeltaSpec over one sequence: q, k [heads,T,key_width], v [heads,T,value_width],
// decay and beta [heads,T], all contiguous float32 → o as v. `state`
// [heads,key_width,value_width]: before the first token, and then after the last.
using DeltaRule = at::Tensor (*)(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                 const at::Tensor& decay, const at::Tensor& beta,
                                 at::Tensor& state);
// In Torch's operations, token after token, on any device.
at::Tensor delta_rule(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                      const at::Tensor& decay, const at::Tensor& beta, at::Tensor& state);
// On the CPU, a head at a time, whose state then stays in the cache.
at::Tensor delta_rule_cpu(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const at::Tensor& decay, const at::Tensor& beta, at::Tensor& state);

// x [T,H] (already normed) → [T,H]; each sequence of the call begins anew, or goes on from `kept`.
at::Tensor short_convolution(const at::Tensor& x, const ConvolutionWeights& weights,
                             const ForwardCall& call, LayerState* kept);
at::Tensor delta_net(const at::Tensor& x, const DeltaWeights& weights, const DeltaSpec& spec,
                     const ForwardCall& call, DeltaRule rule, LayerState* kept);

}  // namespace kappascope
