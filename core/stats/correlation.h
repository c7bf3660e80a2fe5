// Rank correlation of κ with the router's confidence.
#pragma once

#include <cstdint>
#include <vector>

#include "core/stats/layer.h"
#include "core/stats/mean.h"

namespace kappascope {

// [n] ranks from 1; equal values get the mean of the ranks they cover.
std::vector<double> average_ranks(const std::vector<double>& values);

// Spearman's ρ: Pearson's correlation of average ranks. NaN with fewer than three pairs, or where
// one side is constant. Pairs must be finite.
double spearman(const std::vector<double>& x, const std::vector<double>& y);

// One point for every kept (token, expert) of one layer: mean κ over its gates against the token's
// router_selected_mass.
struct KappaConfidence {
  std::vector<std::int64_t> token, expert;  // [n]
  std::vector<double> mass, kappa;          // [n]
  double rho = kNaN;                        // over all points
  std::vector<double> expert_rho;           // [E] within each expert
  std::vector<std::int64_t> expert_points;  // [E]
  double rho_within = kNaN;                 // mean of expert_rho weighted by points
};
KappaConfidence kappa_confidence(const TraceLayer& layer);
// How many points that has.
std::int64_t confidence_points(const TraceLayer& layer);

}  // namespace kappascope
