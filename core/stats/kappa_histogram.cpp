#include "core/stats/kappa_histogram.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace kappascope {
namespace {

// Without model.npz: what the trace's meta says of κ.
double recorded_bound(const Json& meta, std::int64_t layer) {
  if (!meta.is_object() || !meta.contains("kappa") || !meta["kappa"].is_object()) { return kNaN; }
  const Json& kappa = meta["kappa"];
  const auto number = [&](const char* key) {
    return kappa.contains(key) && kappa[key].is_number() ? kappa[key].get<double>() : kNaN;
  };
  return static_cast<double>(layer) >= number("start_layer") ? number("bound_moe") : kNaN;
}

// ln κ below which `rank` (0…total) of the counted values lie, even within a bin.
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

}  // namespace

double kappa_bound(const TraceLayer& layer) {
  if (!layer.trace.kappa) { return kNaN; }
  const ModelParameters* model = layer.trace.model.get();
  if (model == nullptr) { return recorded_bound(layer.trace.meta, layer.layer); }
  if (layer.layer < 0 || layer.layer >= std::ssize(model->kappa_u)) { return kNaN; }
  return model->kappa_u[layer.layer];
}

KappaDensity kappa_density(const TraceLayer& layer, std::int64_t expert) {
  KappaDensity result;
  result.bound = kappa_bound(layer);
  std::span<const std::int64_t> hist =
      layer.part(layer.trace.kappa_hist, layer.trace.experts * kKappaBins);
  if (expert >= 0 && !hist.empty()) {
    hist = hist.subspan(static_cast<std::size_t>(expert * kKappaBins), kKappaBins);
  }
  const double log_bound = std::abs(std::log(result.bound));
  if (hist.empty() || !(log_bound > 0) || !std::isfinite(log_bound)) { return result; }
  const bool reversed = result.bound < 1;  // ln κ / ln U falls as κ grows
  result.counts.assign(kKappaBins, 0);
  for (std::size_t j = 0; j < hist.size(); ++j) {
    const std::size_t bin = j % kKappaBins;
    result.counts[reversed ? kKappaBins - 1 - bin : bin] += std::max<std::int64_t>(0, hist[j]);
  }
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
  result.exact = false;
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
