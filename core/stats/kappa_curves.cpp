#include "core/stats/kappa_curves.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/stats/gates.h"
#include "core/stats/select.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {
namespace {

// α and b of a gate unit as the model has them; NaN where it has none.
double scale_of(const KappaFunction& kappa, const KappaView& view, std::int64_t i) {
  return view.scale ? view.scale[i * view.scale_gate_stride] / kappa.multiplier : kNaN;
}
double bias_of(const KappaFunction& kappa, const KappaView& view, std::int64_t i) {
  return view.bias ? view.bias[i * view.gate_stride] / kappa.multiplier : kNaN;
}

// Spread of the finite values that enumerate(visit) visits, each with how many gate units have it.
template <typename Enumerate>
Spread spread_of(Enumerate&& enumerate) {
  const auto finite = [&](auto&& visit) {
    enumerate([&](double value, std::int64_t count) {
      if (std::isfinite(value)) { visit(static_cast<float>(value), count); }
    });
  };
  double sum = 0;
  std::int64_t n = 0;
  finite([&](float value, std::int64_t count) {
    sum += double(count) * value;
    n += count;
  });
  Spread spread;
  if (n == 0) { return spread; }
  spread.mean = sum / double(n);
  const double quantiles[] = {0, 0.05, 0.25, 0.5, 0.75, 0.95, 1};
  double* const targets[] = {&spread.least, &spread.p05, &spread.p25, &spread.p50,
                             &spread.p75,   &spread.p95, &spread.most};
  const std::vector<double> values = quantiles_of(n, quantiles, finite);
  for (std::size_t j = 0; j < std::size(quantiles); ++j) { *targets[j] = values[j]; }
  return spread;
}

}  // namespace

Histogram histogram(const std::vector<float>& values, std::int64_t bins) {
  Histogram result;
  for (const float value : values) {
    if (!std::isfinite(value)) { continue; }
    result.low = std::isnan(result.low) ? value : std::min<double>(result.low, value);
    result.high = std::isnan(result.high) ? value : std::max<double>(result.high, value);
  }
  if (std::isnan(result.low)) { return result; }
  const double width = result.high - result.low;
  result.counts.assign(static_cast<std::size_t>(width > 0 ? bins : 1), 0);
  for (const float value : values) {
    if (!std::isfinite(value)) { continue; }
    const double place = width > 0 ? (value - result.low) / width * static_cast<double>(bins) : 0;
    const auto bin = std::min(static_cast<std::size_t>(place), result.counts.size() - 1);
    ++result.counts[bin];
  }
  return result;
}

std::vector<float> kept_scores(const TraceLayer& layer, std::int64_t expert) {
  std::vector<float> scores;
  const std::span<const float> input = layer.slot_part(layer.trace.kappa_input);
  if (input.empty()) { return scores; }
  for (std::int64_t entry = 0; entry < layer.tokens * layer.slots; ++entry) {
    if (!layer.kept(entry) || (expert >= 0 && layer.expert(entry) != expert)) { continue; }
    const float s = input[entry];
    if (std::isfinite(s)) { scores.push_back(s); }
  }
  return scores;
}

std::vector<std::int64_t> gates_by_parameter(const KappaView& view, std::int64_t gates) {
  const bool by_scale = view.scale != nullptr && view.scale_gate_stride != 0;
  if (!by_scale && (view.bias == nullptr || view.gate_stride == 0)) { return {0}; }
  const float* const values = by_scale ? view.scale : view.bias;
  const std::int64_t stride = by_scale ? view.scale_gate_stride : view.gate_stride;
  std::vector<std::int64_t> order(static_cast<std::size_t>(gates));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return ordered_bits(values[a * stride]) < ordered_bits(values[b * stride]);
  });
  return order;
}

std::vector<std::int64_t> spread_gates(const KappaView& view, std::int64_t gates,
                                       std::int64_t count) {
  if (view.fixed() || gates < 1 || count < 1) { return {}; }
  const std::vector<std::int64_t> order = gates_by_parameter(view, gates);
  const std::int64_t size = std::ssize(order);
  count = std::min(count, size);
  std::vector<std::int64_t> chosen;
  for (std::int64_t j = 0; j < count; ++j) {
    const std::int64_t place = count > 1 ? j * (size - 1) / (count - 1) : (size - 1) / 2;
    chosen.push_back(order[place]);
  }
  return chosen;
}

KappaCurves kappa_curves(const KappaFunction& kappa, std::int64_t expert,
                         const std::vector<std::int64_t>& gates, double low, double high,
                         std::int64_t points) {
  KappaCurves result;
  if (kappa.source != KappaFunction::Source::parameters || points < 1) { return result; }
  const KappaView& view = kappa.experts[expert];
  for (std::int64_t j = 0; j < points; ++j) {
    const double share = points > 1 ? static_cast<double>(j) / static_cast<double>(points - 1) : 0;
    result.score.push_back(low + (high - low) * share);
  }
  result.gates = gates;
  for (const std::int64_t gate : gates) {
    result.scale.push_back(scale_of(kappa, view, gate));
    result.bias.push_back(bias_of(kappa, view, gate));
    std::vector<double> curve;
    for (const double s : result.score) { curve.push_back(kappa_at(view, gate, s)); }
    result.kappa.push_back(std::move(curve));
  }
  return result;
}

// Of an expert, or of all; NaN without a score.
double median_score(const TraceLayer& layer, std::int64_t expert) {
  if (!layer.trace.corpus) {
    std::vector<float> scores = kept_scores(layer, expert);
    std::sort(scores.begin(), scores.end());
    return sorted_quantile(scores, 0.5);
  }
  constexpr double kMedian[] = {0.5};
  const RowTotals& row = layer.trace.corpus->rows[layer.row];
  if (expert < 0) { return row.numbers[row_number("kappa_input")].quantiles.quantiles(kMedian)[0]; }
  return row.kappa.score.empty() ? kNaN : row.kappa.score[expert].quantiles(kMedian)[0];
}

// The gate units of one expert at 5, 50 and 95 % of its α, as functions of z alone: at the median
// score of the expert where a κ router adds one.
void set_unit_curves(SiluCurves& result, const TraceLayer& layer, const KappaFunction& kappa,
                     std::int64_t expert) {
  const KappaView& view = kappa.experts[expert];
  const double median = median_score(layer, expert);
  const double s = std::isfinite(median) ? median : 0;
  const std::vector<std::int64_t> order = gates_by_parameter(view, kappa.gates);
  for (std::size_t q = 0; q < 3; ++q) {
    const double place = kSiluQuantiles[q] * static_cast<double>(order.size() - 1);
    const std::int64_t unit = order[std::llround(place)];
    result.unit[q] = unit;
    result.scale[q] = scale_of(kappa, view, unit);
    for (const double z : result.z) {
      result.value[q].push_back(silu(z, kappa_at(view, unit, s, z)));
    }
  }
}

SiluCurves silu_curves(const TraceLayer& layer, const KappaFunction& kappa, std::int64_t expert,
                       std::int64_t points) {
  SiluCurves result;
  const KappaBand band = kappa_band(layer, kappa, expert);
  result.kappa.fill(kNaN);
  if (band.exact) { result.kappa = {band.band.p05, band.band.p50, band.band.p95}; }
  result.rank_error = band.rank_error;
  for (std::int64_t j = 0; j < points; ++j) {
    result.z.push_back(-8 + 16 * static_cast<double>(j) / static_cast<double>(points - 1));
  }
  const bool by_unit = kappa.source == KappaFunction::Source::gate_pre;
  if (by_unit) { set_unit_curves(result, layer, kappa, expert); }
  for (std::size_t q = 0; q < 3 && !by_unit; ++q) {
    for (const double z : result.z) { result.value[q].push_back(silu(z, result.kappa[q])); }
  }
  const std::span<const std::int64_t> all =
      layer.part(layer.trace.gate_pre_hist, layer.trace.experts * kGatePreBins);
  if (!all.empty()) {
    const auto own = all.subspan(static_cast<std::size_t>(expert * kGatePreBins), kGatePreBins);
    result.counts.assign(own.begin(), own.end());
  }
  return result;
}

ParameterSpread kappa_parameters(const TraceLayer& layer, const KappaFunction& kappa,
                                 std::int64_t expert) {
  ParameterSpread result;
  result.median_score = median_score(layer, expert);
  if (kappa.experts.empty()) { return result; }
  const std::int64_t first = expert >= 0 ? expert : 0;
  const std::int64_t last = expert >= 0 ? expert + 1 : std::ssize(kappa.experts);
  // visit(value(view, gate), gate units that have it): one of all where an expert's gates share it.
  const auto each = [&](bool shared, auto&& visit, auto&& value) {
    const std::int64_t different = shared ? std::min<std::int64_t>(1, kappa.gates) : kappa.gates;
    for (std::int64_t e = first; e < last; ++e) {
      for (std::int64_t i = 0; i < different; ++i) {
        visit(value(kappa.experts[e], i), shared ? kappa.gates : 1);
      }
    }
  };
  const KappaView& one = kappa.experts.front();
  result.bias = spread_of([&](auto&& visit) {
    each(one.gate_stride == 0, visit,
         [&](const KappaView& view, auto i) { return bias_of(kappa, view, i); });
  });
  result.scale = spread_of([&](auto&& visit) {
    each(one.scale_gate_stride == 0, visit,
         [&](const KappaView& view, auto i) { return scale_of(kappa, view, i); });
  });
  if (kappa.by_gate()) {
    // Constant: the parameters in force are 0, and no score was kept.
    const bool constant = kappa.source == KappaFunction::Source::constant;
    const double s = constant && std::isfinite(kappa_band(layer, kappa, expert).band.mean)
                         ? 0
                         : result.median_score;
    result.kappa = spread_of([&](auto&& visit) {
      each(one.uniform(), visit,
           [&](const KappaView& view, auto i) { return kappa_at(view, i, s); });
    });
  }
  result.bounds = kappa_bounds(layer, expert);
  return result;
}

}  // namespace kappascope
