// Routing in Torch's own operations (SPEC §1.5, §3), for the plain backend.
#pragma once

#include <ATen/ATen.h>

#include "core/forward/feed_forward.h"

namespace kappascope {

// The routing of a call.
struct PlainRouting {
  at::Tensor logits;  // [T,E]
  at::Tensor index;   // [T,K] int64, best first; equal scores: lower expert first
  at::Tensor weight;  // [T,K] 0 where dropped
  at::Tensor kept;    // [T,K] bool
  at::Tensor score;   // [T,K] s; NaN where dropped or none
  at::Tensor margin;  // [T] NaN when K = E
  at::Tensor soft;    // [T,E] p of soft routing before the threshold; else undefined
};

// Budgets [Lm] float64 of the layers with soft routing: softmax(eta)·(total − Lm) + 1 (SPEC §3).
at::Tensor soft_budgets(const at::Tensor& eta, double total);

// p [T,E] float64 of soft routing: F(logits/T − x*), Σ p = budget (a float64 number, 0 < budget <
// E), x* by bisection. Its derivatives by logits and budget are those of SPEC §3.
at::Tensor soft_weights(const at::Tensor& logits, const at::Tensor& budget, double temperature);

// x [T,H] (already normed).
PlainRouting plain_route(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                         std::int64_t pass, const CallContext& context);

// The host's copy of a routing, as the probe reads it.
void fill_view(const PlainRouting& routing, RouterScore score, const RoutingView& view);

}  // namespace kappascope
