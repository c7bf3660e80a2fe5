#include "core/figure/catalogue.h"

#include <algorithm>

#include "core/error.h"
#include "core/figure/figures.h"

namespace kappascope {
namespace {

constexpr FigureEntry kCatalogue[] = {
    {"loss", "negative log-likelihood of each token and its running mean", true, figures::loss},
    {"router-confidence", "largest routing probability, layer × token", false,
     figures::router_confidence},
    {"router-margin", "how far the choice of experts is from another, layer × token", false,
     figures::router_margin},
    {"router-entropy", "how spread the routing probability is, layer × token", false,
     figures::router_entropy},
    {"router-probability", "routing probability in one layer, expert × token", false,
     figures::router_probability},
    {"expert-choice", "which expert each token chose, layer × token", false,
     figures::expert_choice},
    {"expert-load", "load and gate mass of each expert over its even share", false,
     figures::expert_load},
    {"expert-drops", "assignments over capacity, layer × token, and rate per layer", false,
     figures::expert_drops},
    {"expert-coactivation", "experts chosen together in one layer, over chance", false,
     figures::expert_coactivation},
    {"expert-budget", "experts run per token in each layer", false, figures::expert_budget},
    {"kappa-tokens", "κ of each token, layer × token", false, figures::kappa_tokens},
    {"kappa-experts", "κ of each expert, layer × expert", false, figures::kappa_experts},
    {"kappa-depth", "κ over relative depth, one line a model", true, figures::kappa_depth},
    {"kappa-distribution", "distribution of κ in each layer, or of each expert of one", false,
     figures::kappa_distribution},
    {"kappa-parameters", "α and b of κ = U^tanh(α·s + b) and the bounds they imply", false,
     figures::kappa_parameters},
    {"kappa-vs-score", "κ of gate units as a function of the router's score", false,
     figures::kappa_vs_score},
    {"silu-kappa", "the gate z·σ(κz) at the κ of one expert", false, figures::silu_kappa},
    {"kappa-confidence", "κ against the router's confidence, with rank correlations", false,
     figures::kappa_confidence},
    {"gate-sharpness", "effective sharpness of the gates, layer × token", false,
     figures::gate_sharpness},
    {"gate-active", "share of active gate units, layer × token", false, figures::gate_active},
    {"gate-top16", "share of the largest gate units in the activation, layer × token", false,
     figures::gate_top16},
    {"gate-saturation", "linear, knee and saturated share of gate units per layer", false,
     figures::gate_saturation},
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
