#include "core/stats/bands.h"

#include <cmath>

#include "core/stats/select.h"
#include "core/trace/corpus_totals.h"

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

Band number_band(const TraceLayer& layer, std::string_view number) {
  const std::size_t place = row_number(number);
  if (layer.trace.corpus) {
    const NumberTotals& totals = layer.trace.corpus->rows[layer.row].numbers[place];
    const std::vector<double> values = totals.quantiles.quantiles(kBandQuantiles);
    return {totals.mean(), values[0], values[1], values[2]};
  }
  const RowTokens row = row_tokens(layer);
  if (!row.has(place)) { return {}; }
  const bool of_slot = kRowNumbers[place].of_slot;
  return band_of([&](auto&& visit) {
    for (std::int64_t i = 0; i < row.tokens * (of_slot ? row.slots : 1); ++i) {
      if (of_slot ? row.kept[i] != 0 : !row.is_left_out(i)) { visit(row.numbers[place][i]); }
    }
  });
}

KappaBand kappa_over_entries(const TraceLayer& layer) {
  KappaBand kappa = kappa_band(layer, kappa_function(layer));
  kappa.band.mean = std::exp(kappa.log_mean);
  return kappa;
}

}  // namespace kappascope
