// The experts of an MoE layer over the tokens that the router gave them (SPEC §1.5).
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "core/forward/layer_record.h"

namespace kappascope {

// x [T,H] → Σ weight · expert output [T,H]. `record` is filled as `wants` says. The same numbers
// whatever the number of threads, with and without a record.
at::Tensor run_experts(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                       std::int64_t pass, const RoutingView& routing, const CallContext& context,
                       const ProbeWants& wants, ExpertRecord& record);
// The shared expert's part of the layer's output: x [T,H] → [T,H]; the probe is given its own.
at::Tensor shared_expert(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                         std::int64_t pass, const CallContext& context);

}  // namespace kappascope
