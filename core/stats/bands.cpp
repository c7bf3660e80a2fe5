#include "core/stats/bands.h"

#include <cmath>

#include "core/stats/select.h"

namespace kappascope {
namespace {

// Of the values that each(visit) visits, those that are finite.
template <typename Each>
Band band_of(Each&& each) {
  const auto finite = [&](auto&& visit) {
    each([&](float value) {
      if (std::isfinite(value)) { visit(value, 1); }
    });
  };
  Mean mean;
  finite([&](float value, std::int64_t) { mean.add(value); });
  if (mean.count == 0) { return {}; }
  const std::vector<double> values = quantiles_of(mean.count, kBandQuantiles, finite);
  return {mean.value(), values[0], values[1], values[2]};
}

}  // namespace

Band over_tokens(const TraceLayer& layer, std::span<const float> array) {
  const std::span<const float> values = layer.token_part(array);
  return band_of([&](auto&& visit) {
    for (const float value : values) { visit(value); }
  });
}

Band over_entries(const TraceLayer& layer, std::span<const float> array) {
  const std::span<const float> values = layer.slot_part(array);
  return band_of([&](auto&& visit) {
    for (std::int64_t entry = 0; entry < std::ssize(values); ++entry) {
      if (layer.kept(entry)) { visit(values[entry]); }
    }
  });
}

KappaBand kappa_over_entries(const TraceLayer& layer) {
  KappaBand kappa = kappa_band(layer, kappa_function(layer));
  kappa.band.mean = std::exp(kappa.log_mean);
  return kappa;
}

}  // namespace kappascope
