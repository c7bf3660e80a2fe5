// Gates that every token runs, in Torch's own operations: what the plain backend records of them,
// and the shared expert.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "core/forward/feed_forward.h"

namespace kappascope {

// Statistics of z and up [T,I], by the reference kernel.
std::vector<GateStats> plain_stats(const at::Tensor& z, const at::Tensor& up,
                                   const KappaView& kappa, double score,
                                   const CallContext& context);

at::Tensor plain_shared(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                        std::int64_t pass, const CallContext& context);

}  // namespace kappascope
