// Statistics of soft routing (SoftMoE, arXiv 2606.17952; docs/metrics.md).
#pragma once

#include <cstdint>
#include <span>

#include "core/nan.h"
#include "core/stats/layer.h"

namespace kappascope {

// Of a model, over the recorded MoE layers of its first pass. NaN: the trace has no soft routing.
struct BudgetSummary {
  double total = kNaN;              // Σ k
  double last_third = kNaN;         // share of it in the last third of those layers
  double experts_run = kNaN;        // mean over tokens and layers
  double active_parameters = kNaN;  // per token, mean; NaN unless every MoE layer was recorded
};
BudgetSummary budget_summary(const Trace& trace);

// Tokens of a layer with an expert that passes the threshold and does not run, because the cap left
// it out.
std::int64_t tokens_at_cap(const TraceLayer& layer);
// Of one token with weights [E] of which `run` experts run.
bool left_out_by_cap(std::span<const float> weights, float threshold, std::int64_t run);

}  // namespace kappascope
