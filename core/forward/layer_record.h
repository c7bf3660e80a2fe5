// What an MoE layer leaves for the probe: its routing and the record of its experts, on the host.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "core/forward/feed_forward.h"

namespace kappascope {

// The memory of a call's routing.
class Routing {
 public:
  // logits [T,E]; with `recorded` also the router's numbers of each token, with `soft` the weights
  // of all experts.
  Routing(at::Tensor logits, std::int64_t slots, bool recorded, bool soft);
  Routing(const Routing&) = delete;
  Routing& operator=(const Routing&) = delete;
  RoutingView view;

 private:
  at::Tensor logits_;
  std::vector<std::int32_t> expert_;
  std::vector<float> weight_, score_;
  std::vector<std::uint8_t> kept_;
  std::vector<float> soft_weight_;  // [T,E] or empty
  std::vector<float> numbers_;      // [5,T] or empty
};

// What the taps are given beyond the routing, over the recorded tokens T. Empty: not wanted.
struct ExpertRecord {
  std::vector<GateStats> gate_stats;                    // [T,K] NaN where dropped
  std::vector<KappaStatistics> kappa_stats;             // [T,K] NaN where dropped
  std::vector<std::int64_t> kappa_hist, gate_pre_hist;  // [E,bins]
  std::vector<EffectSums> effect;                       // [E]
  std::vector<float> output_norm;                       // [T,K] NaN where dropped
  std::vector<float> gate_clamped;                      // [T,K] likewise; empty: no limit
  at::Tensor kappa, gate_pre, gate_act;                 // [T,K,I] NaN where dropped

  // Makes room for what is wanted of the cells of `recorded`, whose `kept` is known: counts of 0,
  // NaN; of the gate values only dropped cells are set, the others are written by whoever computes
  // them. `gate_memory`: CallContext::gate_memory, or nullptr for memory of the record's own.
  void prepare(const RoutingView& recorded, std::int64_t gates, const ProbeWants& wants,
               at::Tensor* gate_memory);
  void prepare_clamped();  // room for gate_clamped, after prepare
};

// κ [I] of a dense layer, the same for every token; `score` in place of the router's.
std::vector<float> dense_kappa(const KappaView& view, std::int64_t gates, float score);

// Gives the probe what a shared expert made: y [T,H], weight [T,1] or undefined (1), the statistics
// of the call's tokens.
void give_shared_to_probe(const at::Tensor& y, const at::Tensor& weight,
                          const std::vector<GateStats>& stats, std::int64_t layer,
                          std::int64_t pass, const CallContext& context);

// Gives the probe rows of the call, [T,H], where it wants the layer.
void give_rows_to_probe(const at::Tensor& rows, std::int64_t layer, std::int64_t pass,
                        bool (Probe::*to)(const RowsTap&), const CallContext& context);

// Gives the probe what was recorded of a layer; the view's memory is on the host.
void give_to_probe(const at::Tensor& x, const at::Tensor& output, const MoeWeights& weights,
                   const RoutingView& routing, const ExpertRecord& record, std::int64_t layer,
                   std::int64_t pass, const CallContext& context);

}  // namespace kappascope
