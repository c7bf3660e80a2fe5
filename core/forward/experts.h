// The experts of an MoE layer over the tokens that the router gave them (SPEC §1.5).
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/forward/feed_forward.h"

namespace kappascope {

// The routing of a call and, when the layer is recorded, what it tells of each token.
struct Routing {
  std::int64_t experts, slots;
  at::Tensor logits;                                                      // [T,E]
  std::vector<std::int32_t> expert_index;                                 // [T,K]
  std::vector<float> expert_weight;                                       // [T,K]
  std::vector<std::uint8_t> expert_kept;                                  // [T,K]
  std::vector<float> kappa_input;                                         // [T,K]
  std::vector<float> top1_prob, selected_mass, margin, top_gap, entropy;  // [T] or empty
};

// What the taps are given beyond the routing, over the recorded tokens T. Empty: not wanted.
struct ExpertRecord {
  std::vector<GateStats> gate_stats;                    // [T,K] NaN where dropped
  std::vector<KappaStatistics> kappa_stats;             // [T,K] NaN where dropped
  std::vector<std::int64_t> kappa_hist, gate_pre_hist;  // [E,bins]
  std::vector<EffectSums> effect;                       // [E]
  at::Tensor kappa, gate_pre, gate_act;                 // [T,K,I] NaN where dropped
};

// x [T,H] → Σ weight · expert output [T,H]. `record` is filled as `wants` says. The same numbers
// whatever the number of threads, with and without a record.
at::Tensor run_experts(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                       const Routing& routing, const CallContext& context, const ProbeWants& wants,
                       ExpertRecord& record);

}  // namespace kappascope
