#include "core/stats/kappa_histogram.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>

#include "core/stats/kappa_corpus.h"
#include "core/stats/kappa_population.h"
#include "core/trace/meta.h"

namespace kappascope {
namespace {

// ln κ below which `rank` (0…total) of the counted values are, spread evenly within a bin.
double quantile_of(const KappaDensity& density, double rank) {
  double below = 0;
  for (std::size_t j = 0; j < density.counts.size(); ++j) {
    const auto count = static_cast<double>(density.counts[j]);
    if (count > 0 && below + count >= rank) {
      const double low = std::log(density.edges[j]), high = std::log(density.edges[j + 1]);
      return low + (high - low) * std::max(0.0, rank - below) / count;
    }
    below += count;
  }
  return kNaN;
}

// κ may then be outside [1/U, U], within which alone it was counted.
bool leaves_bounds(std::string_view word) {
  return word.starts_with("kappa=") || word.starts_with("kappa-mul=");
}

// What neither κ nor 1/κ of the layer's kept entries exceeds.
double bound_with_factors(const TraceLayer& layer, const KappaFunction& kappa) {
  const std::span<const float> factors = layer.part(layer.trace.kappa_factor, layer.trace.experts);
  double most = 0;
  for (const float factor : factors.first(layer.experts)) {
    if (factor > 0) { most = std::max(most, std::abs(std::log(static_cast<double>(factor)))); }
  }
  const double log_bound = std::abs(std::log(kappa_bound(layer)));
  const bool learned = !kappa.experts.empty();  // even if what was learned is 0 in force
  return std::exp(most + (learned && std::isfinite(log_bound) ? log_bound : 0));
}

// [64] in bins of [−log_bound, log_bound].
template <typename Population>
std::vector<std::int64_t> count_anew(const Population& population, std::int64_t expert,
                                     double log_bound) {
  std::vector<std::int64_t> counts(kKappaBins, 0);
  const auto add = [&](float value, std::int64_t multiplicity) {
    const double share = (population.log_kappa(value) / log_bound + 1) / 2;
    if (!std::isfinite(share)) { return; }
    counts[std::clamp(static_cast<int>(share * kKappaBins), 0, kKappaBins - 1)] += multiplicity;
  };
  for (std::int64_t e = 0; e < population.experts(); ++e) {
    if (expert < 0 || expert == e) { population.each(e, add); }
  }
  return counts;
}

// [64] as counted while the model ran; empty where the trace has none.
std::vector<std::int64_t> recorded_counts(const TraceLayer& layer, std::int64_t expert,
                                          bool reversed) {
  std::span<const std::int64_t> hist =
      layer.part(layer.trace.kappa_hist, layer.trace.experts * kKappaBins);
  if (hist.empty()) { return {}; }
  if (expert >= 0) { hist = hist.subspan(expert * kKappaBins, kKappaBins); }
  std::vector<std::int64_t> counts(kKappaBins, 0);
  for (std::size_t j = 0; j < hist.size(); ++j) {
    const std::size_t bin = j % kKappaBins;  // with U < 1, ln κ / ln U falls as κ grows
    counts[reversed ? kKappaBins - 1 - bin : bin] += std::max<std::int64_t>(0, hist[j]);
  }
  return counts;
}

}  // namespace

double kappa_bound(const TraceLayer& layer) {
  return layer.trace.kappa_in_force ? layer.trace.kappa_in_force->bound(layer.row)
                                    : KappaInForce(layer.trace).bound(layer.row);
}

KappaDensity kappa_density(const TraceLayer& layer, const KappaFunction& kappa,
                           std::int64_t expert) {
  KappaDensity result;
  const bool corpus = layer.trace.corpus != nullptr, anew = kappa.factors && kappa.by_gate();
  if (corpus && !anew && any_intervention(layer.trace, leaves_bounds)) { return result; }
  result.bound = anew ? bound_with_factors(layer, kappa) : kappa_bound(layer);
  const double log_bound = std::abs(std::log(result.bound));
  if (!(log_bound > 0) || !std::isfinite(log_bound)) { return result; }
  if (anew) {
    result.counts = corpus ? count_anew(CorpusKappa(layer, kappa, expert), expert, log_bound)
                           : count_anew(KappaPopulation(layer, kappa, expert), expert, log_bound);
  } else {
    result.counts = recorded_counts(layer, expert, result.bound < 1);
  }
  if (result.counts.empty()) { return result; }
  const double width = 2 * log_bound / kKappaBins;
  for (int j = 0; j <= kKappaBins; ++j) {
    result.edges.push_back(std::exp(-log_bound + j * width));
  }
  const double total = static_cast<double>(
      std::accumulate(result.counts.begin(), result.counts.end(), std::int64_t{0}));
  for (const std::int64_t count : result.counts) {
    result.density.push_back(static_cast<double>(count) / (total * width));
  }
  return result;
}

KappaBand histogram_band(const KappaDensity& density) {
  KappaBand result;
  result.exact = result.log_exact = false;
  double total = 0, sum = 0;
  for (std::size_t j = 0; j < density.counts.size(); ++j) {
    const auto count = static_cast<double>(density.counts[j]);
    total += count;
    sum += count * std::log(density.edges[j] * density.edges[j + 1]) / 2;
  }
  if (total == 0) { return result; }
  result.log_mean = sum / total;
  result.band.p05 = std::exp(quantile_of(density, 0.05 * total));
  result.band.p50 = std::exp(quantile_of(density, 0.5 * total));
  result.band.p95 = std::exp(quantile_of(density, 0.95 * total));
  return result;
}

}  // namespace kappascope
