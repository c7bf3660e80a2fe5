#include "core/stats/layer_statistics.h"

namespace kappascope {
namespace {

using L = const LayerSummary&;

constexpr LayerStatistic kStatistics[] = {
    {"alignment_energy", [](L l) { return l.alignment_energy; }, true},
    {"alignment_mean", [](L l) { return l.alignment_mean; }, true},
    {"budget", [](L l) { return l.budget; }, true},
    {"confidence", [](L l) { return l.confidence; }},
    {"drop_rate", [](L l) { return l.drop_rate; }},
    {"effect.mean", [](L l) { return l.effect.mean; }},
    {"effect.mean_abs", [](L l) { return l.effect.mean_abs; }},
    {"effect.positive_share", [](L l) { return l.effect.positive_share; }},
    {"effect.rms", [](L l) { return l.effect.rms; }},
    {"effect_relative.mean", [](L l) { return l.effect_relative.mean; }},
    {"effect_relative.mean_abs", [](L l) { return l.effect_relative.mean_abs; }},
    {"effect_relative.positive_share", [](L l) { return l.effect_relative.positive_share; }},
    {"effect_relative.rms", [](L l) { return l.effect_relative.rms; }},
    {"effective_experts", [](L l) { return l.effective_experts; }},
    {"effective_experts_share", [](L l) { return l.effective_experts_share; }},
    {"experts_run.mean", [](L l) { return l.experts_run.mean; }},
    {"gate_active_fraction", [](L l) { return l.gate_active_fraction; }},
    {"gate_entropy", [](L l) { return l.gate_entropy; }},
    {"gate_kz_rms", [](L l) { return l.gate_kz_rms; }},
    {"gate_linear_fraction", [](L l) { return l.gate_linear_fraction; }},
    {"gate_mean_abs", [](L l) { return l.gate_mean_abs; }},
    {"gate_saturated_fraction", [](L l) { return l.gate_saturated_fraction; }},
    {"gate_top16_share", [](L l) { return l.gate_top16_share; }},
    {"kappa.mean", [](L l) { return l.kappa.mean; }},
    {"kappa.p05", [](L l) { return l.kappa.p05; }},
    {"kappa.p50", [](L l) { return l.kappa.p50; }},
    {"kappa.p95", [](L l) { return l.kappa.p95; }},
    {"kappa_bottom5_mean", [](L l) { return l.kappa_bottom5_mean; }},
    {"kappa_log_mean", [](L l) { return l.kappa_log_mean; }},
    {"kappa_slope_l2", [](L l) { return l.kappa_slope_l2; }},
    {"kappa_sqrt_n_mean", [](L l) { return l.kappa_sqrt_n_mean; }},
    {"kappa_top5_mean", [](L l) { return l.kappa_top5_mean; }},
    {"load_cv", [](L l) { return l.load_cv; }},
    {"load_entropy", [](L l) { return l.load_entropy; }},
    {"margin", [](L l) { return l.margin; }},
    {"max_vio", [](L l) { return l.max_vio; }},
    {"near_ties", [](L l) { return static_cast<double>(l.near_ties); }},
    {"no_expert_rate", [](L l) { return l.no_expert_rate; }},
    {"nonfinite_tokens", [](L l) { return static_cast<double>(l.nonfinite_tokens); }},
    {"router_entropy", [](L l) { return l.router_entropy; }},
    {"router_entropy_nats", [](L l) { return l.router_entropy_nats; }},
    {"selected_mass", [](L l) { return l.selected_mass; }},
    {"tokens_at_cap",
     [](L l) { return std::isfinite(l.budget) ? static_cast<double>(l.tokens_at_cap) : kNaN; }},
    {"top_gap", [](L l) { return l.top_gap; }},
    {"unused_by_chance", [](L l) { return l.unused_by_chance; }},
    {"unused_experts", [](L l) { return static_cast<double>(l.unused_experts); }},
    {"utility_mean", [](L l) { return l.utility_mean; }},
    {"utility_min", [](L l) { return l.utility_min; }},
};

}  // namespace

std::span<const LayerStatistic> layer_statistics() {
  return kStatistics;
}

}  // namespace kappascope
