#include "core/figure/catalogue.h"

#include <algorithm>

#include "core/error.h"
#include "core/figure/figures.h"

namespace kappascope {
namespace {

constexpr FigureEntry kCatalogue[] = {
    {"loss", "negative log-likelihood of each token and its running mean", true, "nll", kNoChoice,
     figures::loss},
    {"router-confidence", "largest routing probability, layer × token", false, "router_top1_prob",
     kNoChoice, figures::router_confidence},
    {"router-margin", "how far the choice of experts is from another, layer × token", false,
     "router_margin", kNoChoice, figures::router_margin},
    {"router-entropy", "how spread the routing probability is, layer × token", false,
     "router_entropy", kNoChoice, figures::router_entropy},
    {"router-probability", "routing probability in one layer, expert × token", false,
     "router_top1_prob", kLayerChoice, figures::router_probability},
    {"expert-choice", "which expert each token chose, layer × token", false, "load", kSlotChoice,
     figures::expert_choice},
    {"expert-load", "load and gate mass of each expert over its even share", false, "load",
     kNoChoice, figures::expert_load},
    {"expert-drops", "assignments over capacity, layer × token, and rate per layer", false,
     "drop_rate", kNoChoice, figures::expert_drops},
    {"expert-coactivation", "experts chosen together in one layer, over chance", false,
     "coactivation", kLayerChoice, figures::expert_coactivation},
    {"expert-budget", "experts run per token in each layer", false, "experts_run", kNoChoice,
     figures::expert_budget},
    {"kappa-tokens", "κ of each token, layer × token", false, "kappa_log_mean", kNoChoice,
     figures::kappa_tokens},
    {"kappa-experts", "κ of each expert, layer × expert", false, "kappa_log_mean", kNoChoice,
     figures::kappa_experts},
    {"kappa-depth", "κ over relative depth, one line a model", true, "kappa", kNoChoice,
     figures::kappa_depth},
    {"kappa-distribution", "distribution of κ in each layer, or of each expert of one", false,
     "kappa", kByExpertChoice | kLayerIfByExpert, figures::kappa_distribution},
    {"kappa-parameters", "α and b of κ = U^tanh(α·s + b) and the bounds they imply", false,
     "kappa_scale", kByExpertChoice | kLayerIfByExpert, figures::kappa_parameters},
    {"kappa-vs-score", "κ of gate units as a function of the router's score", false, "kappa",
     kLayerChoice | kExpertChoice | kGatesChoice, figures::kappa_vs_score},
    {"silu-kappa", "the gate z·σ(κz) at the κ of one expert", false, "kappa",
     kLayerChoice | kExpertChoice, figures::silu_kappa},
    {"kappa-confidence", "κ against the router's confidence, with rank correlations", false,
     "kappa_confidence", kNoChoice, figures::kappa_confidence},
    {"gate-sharpness", "effective sharpness of the gates, layer × token", false, "gate_kz_rms",
     kByExpertChoice, figures::gate_sharpness},
    {"gate-active", "share of active gate units, layer × token", false, "gate_active_fraction",
     kByExpertChoice, figures::gate_active},
    {"gate-top16", "share of the largest gate units in the activation, layer × token", false,
     "gate_top16_share", kByExpertChoice, figures::gate_top16},
    {"gate-saturation", "linear, knee and saturated share of gate units per layer", false,
     "gate_saturated_fraction", kNoChoice, figures::gate_saturation},
};

}  // namespace

std::span<const FigureEntry> figure_catalogue() {
  return kCatalogue;
}

const FigureEntry& figure_entry(std::string_view id) {
  for (const FigureEntry& entry : kCatalogue) {
    if (entry.id == id) return entry;
  }
  std::string known;
  for (const FigureEntry& entry : kCatalogue) {
    known += (known.empty() ? "" : ", ") + std::string(entry.id);
  }
  fail(ExitCode::usage, {}, "no figure is called '", id, "'; expected one of ", known);
}

}  // namespace kappascope
