// Per-layer statistics of a trace (SPEC §5): pure functions of the trace and its model parameters.
// docs/metrics.md says what each means; NaN where there is nothing to average or the family has
// none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/stats/gates.h"
#include "core/stats/mean.h"
#include "core/stats/pairs.h"
#include "core/stats/phases.h"
#include "core/trace/trace.h"

namespace kappascope {

inline constexpr const char* kSummarySchema = "kappascope.summary/1";

struct LayerSummary : GateMeans {
  std::int64_t layer = -1, pass = -1;  // as in layer_index, pass_index
  // load
  std::vector<double> load;       // [E] share of all assignments, kept and dropped
  std::vector<double> gate_mass;  // [E] Σ combine weight / T
  double load_entropy = kNaN, load_cv = kNaN;
  std::int64_t unused_experts = 0;
  double unused_by_chance = kNaN;         // expected under even routing, from E, K, T
  std::vector<double> drop_rate_by_slot;  // [K] dropped / assigned
  double drop_rate = kNaN;                // over all slots
  double no_expert_rate = kNaN;           // tokens that no expert ran for
  double effective_experts = kNaN, effective_experts_share = kNaN;  // exp(entropy), and over E
  double max_vio = kNaN;                                            // E · largest load − 1
  double utility_min = kNaN, utility_mean = kNaN;  // kept / capacity; NaN without a capacity
  PairStatistics pairs;                            // experts that go together
  std::optional<PhasesOfLayer> phases;             // of a generated text
  std::int64_t hot_set = 0;                        // experts with 90 % of the assignments
  std::vector<double> mean_selected_logit;         // [E] or empty
  std::vector<double> saliency, contribution;      // [E] or empty, see ExpertImportance
  // router
  double confidence = kNaN;     // mean router_top1_prob
  double selected_mass = kNaN;  // mean
  double margin = kNaN;         // mean over tokens that have one
  double top_gap = kNaN;
  double router_entropy = kNaN, router_entropy_nats = kNaN;
  std::int64_t near_ties = 0;  // tokens for which Trace::is_near_tie
  // κ
  Band kappa;                    // over kept (token, slot, gate)
  Band kappa_read_off;           // of 64 bins of ln κ, where that has no exact quantiles
  double kappa_log_mean = kNaN;  // mean of ln κ
  double kappa_top5_mean = kNaN, kappa_bottom5_mean = kNaN, kappa_sqrt_n_mean = kNaN;
  EffectSummary effect, effect_relative;
  double kappa_slope_l2 = kNaN;  // mean u²
  // alignment, means over experts
  double alignment_mean = kNaN, alignment_energy = kNaN;
  std::int64_t nonfinite_tokens = 0;  // tokens whose numbers NaN or Inf weights spoilt
  // soft routing
  double budget = kNaN;            // Σ of a token's weights; NaN: top-k routing
  Band experts_run;                // of a token
  std::int64_t tokens_at_cap = 0;  // with an expert that only the cap left out
};

struct DenseSummary : GateMeans {
  std::int64_t layer = -1, pass = -1;
  Band kappa;                    // over gate units
  double kappa_slope_l2 = kNaN;  // mean u² = (b·c)²
};

// Of values [T], over the tokens that statistics are of.
Mean counted_mean(const Trace& trace, std::span<const float> values);
Mean mean_nll_of(const Trace& trace);  // nats, over the tokens that have one

std::vector<LayerSummary> summarise(const Trace& trace);        // [M]
std::vector<DenseSummary> summarise_dense(const Trace& trace);  // [Md] dense gated layers

// summary.json: the above by layer, the text's NLL, and, with gates recorded, the effect over its
// own 90 % and 98 % quantile. Sorted keys; NaN is null; what the trace lacks as a whole is absent.
Json summary_json(const Trace& trace, const std::vector<LayerSummary>& layers);

// null where a value is not finite.
Json number_json(double value);
Json numbers_json(const std::vector<double>& values);

}  // namespace kappascope
