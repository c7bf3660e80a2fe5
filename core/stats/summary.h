// Per-layer statistics of a trace (SPEC §5): pure functions of the trace and its model parameters.
// docs/metrics.md says what each means; NaN where there is nothing to average or the family has
// none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/trace/trace.h"

namespace kappascope {

struct Band {  // of a population
  double mean, p05, p50, p95;
};

struct EffectSummary {  // of d = z·σ(κz) − z·σ(z), or of d / silu(z), over scalars
  double mean, mean_abs, rms, positive_share;
  std::int64_t count;
};

struct LayerSummary {
  std::int64_t layer = 0, pass = 0;  // as in layer_index, pass_index
  // load
  std::vector<double> load;       // [E] share of all assignments, kept and dropped
  std::vector<double> gate_mass;  // [E] Σ combine weight / T
  double load_entropy, load_cv;
  std::int64_t unused_experts = 0;
  double unused_by_chance;                // expected under even routing, from E, K, T
  std::vector<double> drop_rate_by_slot;  // [K] dropped / assigned
  double drop_rate;                       // over all slots
  // router
  double confidence;     // mean router_top1_prob
  double selected_mass;  // mean
  double margin;         // mean over tokens that have one
  double top_gap;
  double router_entropy, router_entropy_nats;
  std::int64_t near_ties = 0;  // tokens with margin < 1e-3
  // κ
  Band kappa;             // over kept (token, slot, gate)
  double kappa_log_mean;  // mean of ln κ
  double kappa_top5_mean, kappa_bottom5_mean, kappa_sqrt_n_mean;
  EffectSummary effect, effect_relative;
  // gates, means over kept (token, slot)
  double gate_mean_abs, gate_active_fraction, gate_top16_share, gate_entropy, gate_kz_rms,
      gate_linear_fraction, gate_saturated_fraction;
  // alignment, means over experts
  double alignment_mean, alignment_energy;
  std::int64_t nonfinite_tokens = 0;  // tokens whose numbers NaN or Inf weights spoilt, left out
};

// E·(1 − 1/E)^…: experts expected without a token when every token chooses K of E evenly.
double unused_by_chance(std::int64_t experts, std::int64_t slots, std::int64_t tokens);

std::vector<LayerSummary> summarise(const Trace& trace);

// summary.json: the above by layer, the text's NLL, and, with gates recorded, the effect over its
// own 90 % and 98 % quantile. Sorted keys; NaN is null.
Json summary_json(const Trace& trace, const std::vector<LayerSummary>& layers);

}  // namespace kappascope
