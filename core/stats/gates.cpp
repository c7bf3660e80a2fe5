#include "core/stats/gates.h"

#include <cmath>
#include <numeric>

#include "core/stats/select.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {
namespace {

// Sums behind an EffectSummary.
struct EffectTotal {
  double sum = 0, sum_abs = 0, sum_square = 0;
  std::int64_t positive = 0, count = 0;

  void add(double value) {
    sum += value;
    sum_abs += std::abs(value);
    sum_square += value * value;
    positive += value > 0 ? 1 : 0;
    ++count;
  }
  EffectSummary summary() const {
    if (count == 0) { return {}; }
    const auto n = static_cast<double>(count);
    return {sum / n, sum_abs / n, std::sqrt(sum_square / n), static_cast<double>(positive) / n,
            count};
  }
};

float effect_of(double z, double kappa, EffectKind kind) {
  const GateEffect effect = gate_effect(z, kappa);
  return kind == EffectKind::absolute ? effect.absolute : effect.relative;
}

// visit(value) for every finite effect of the recorded gates of one layer, or of all.
template <typename Visit>
void each_effect(const TraceLayer& layer, EffectKind kind, Visit&& visit) {
  const Trace& trace = layer.trace;
  const std::int64_t entries = layer.tokens * layer.slots;
  const auto kappa = layer.part(trace.kappa_values, entries * trace.gates);
  const auto pre = layer.part(trace.gate_pre, entries * trace.gates);
  for (std::int64_t entry = 0; entry < entries; ++entry) {
    if (!layer.kept(entry)) { continue; }
    for (std::int64_t i = 0; i < layer.gates; ++i) {
      const auto at = static_cast<std::size_t>(entry * trace.gates + i);
      const float value = effect_of(pre[at], kappa[at], kind);
      if (std::isfinite(value)) { visit(value); }
    }
  }
}

template <typename Visit>
void each_effect(const Trace& trace, EffectKind kind, Visit&& visit) {
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    each_effect(TraceLayer(trace, row), kind, visit);
  }
}

// Of a trace or of one of its layers.
template <typename Population>
std::vector<EffectTail> tails_of(const Population& population, EffectKind kind,
                                 std::span<const double> quantiles) {
  std::int64_t count = 0;
  each_effect(population, kind, [&](float) { ++count; });
  if (count == 0) { return {}; }
  const std::vector<double> thresholds = quantiles_of(count, quantiles, [&](auto&& visit) {
    each_effect(population, kind, [&](float value) { visit(value, 1); });
  });
  std::vector<EffectTail> tails;
  for (std::size_t j = 0; j < quantiles.size(); ++j) {
    tails.push_back({quantiles[j], thresholds[j], {}});
  }
  std::vector<EffectTotal> totals(tails.size());
  each_effect(population, kind, [&](float value) {
    for (std::size_t j = 0; j < tails.size(); ++j) {
      if (value >= tails[j].threshold) { totals[j].add(value); }
    }
  });
  for (std::size_t j = 0; j < tails.size(); ++j) { tails[j].effect = totals[j].summary(); }
  return tails;
}

// The value of rank `rank`, 0 … count − 1; its bin and how many of that bin are below it.
struct BinPlace {
  std::int64_t bin = 0, below = 0;

  BinPlace(const EffectBins& bins, std::int64_t rank) : below(rank) {
    while (bin + 1 < EffectBins::kBins && below >= bins.count[bin]) { below -= bins.count[bin++]; }
  }
  double value(const EffectBins& bins) const {
    const double low = EffectBins::lower(bin), high = EffectBins::upper(bin);
    return low + (high - low) * (double(below) + 0.5) / double(bins.count[bin]);
  }
};

EffectTail binned_tail(const EffectBins& bins, std::int64_t count, double q) {
  const QuantilePlace place(count, q);
  const BinPlace low(bins, place.lower), high(bins, place.upper);
  EffectTail tail{q, place.between(low.value(bins), high.value(bins)), {}};
  const BinPlace& first = place.fraction > 0 ? high : low;  // of the tail
  double sum = 0, sum_abs = 0, square = 0, n = 0, positive = 0;
  for (std::int64_t bin = first.bin; bin < EffectBins::kBins; ++bin) {
    if (bins.count[bin] == 0) { continue; }
    const auto in_bin = double(bins.count[bin]);
    // What equals the threshold belongs to it; of values within a bin that is not known.
    const bool part = bin == first.bin && bin != EffectBins::kZero;
    const double taken = part ? in_bin - double(first.below) : in_bin;
    const double share = taken / in_bin;
    n += taken;
    sum += share * bins.sum[bin].value();
    sum_abs += share * std::abs(bins.sum[bin].value());
    square += share * bins.sum_square[bin].value();
    positive += EffectBins::upper(bin) > 0 ? taken : 0;
  }
  tail.effect = {sum / n, sum_abs / n, std::sqrt(square / n), positive / n, std::llround(n)};
  return tail;
}

std::vector<EffectTail> corpus_tails(const EffectBins& bins, std::span<const double> quantiles) {
  const auto count = std::accumulate(bins.count.begin(), bins.count.end(), std::int64_t{0});
  std::vector<EffectTail> tails;
  if (count == 0) { return tails; }
  for (const double q : quantiles) { tails.push_back(binned_tail(bins, count, q)); }
  return tails;
}

GateMeans corpus_means(const TraceLayer& layer) {
  const RowTotals& row = layer.trace.corpus->rows[layer.row];
  const auto mean = [&](std::string_view name) { return row.mean(name); };
  return {
      mean("gate_mean_abs"),          mean("gate_active_fraction"), mean("gate_top16_share"),
      mean("gate_entropy"),           mean("gate_kz_rms"),          mean("gate_linear_fraction"),
      mean("gate_saturated_fraction")};
}

// Kept entries of the layer, or of one of its experts: looked for once for all arrays.
std::vector<std::int64_t> kept_entries(const TraceLayer& layer, std::int64_t expert) {
  std::vector<std::int64_t> entries;
  for (std::int64_t entry = 0; entry < layer.tokens * layer.slots; ++entry) {
    const bool wanted = expert < 0 || layer.expert(entry) == expert;
    if (wanted && layer.kept(entry)) { entries.push_back(entry); }
  }
  return entries;
}

double mean_over(const TraceLayer& layer, std::span<const float> array,
                 std::span<const std::int64_t> entries) {
  const std::span<const float> values = layer.slot_part(array);
  Mean mean;
  if (values.empty()) { return mean.value(); }
  for (const std::int64_t entry : entries) { mean.add(values[entry]); }
  return mean.value();
}

}  // namespace

double slot_mean(const TraceLayer& layer, std::span<const float> array) {
  return mean_over(layer, array, kept_entries(layer, -1));
}

GateMeans gate_means(const TraceLayer& layer, std::int64_t expert) {
  const Trace& trace = layer.trace;
  if (trace.corpus) { return expert < 0 ? corpus_means(layer) : GateMeans{}; }
  const std::vector<std::int64_t> entries = kept_entries(layer, expert);
  const auto mean = [&](std::span<const float> array) { return mean_over(layer, array, entries); };
  return {mean(trace.gate_mean_abs),
          mean(trace.gate_active_fraction),
          mean(trace.gate_top16_share),
          mean(trace.gate_entropy),
          mean(trace.gate_kz_rms),
          mean(trace.gate_linear_fraction),
          mean(trace.gate_saturated_fraction)};
}

GateShares gate_shares(const TraceLayer& layer) {
  const GateMeans means = gate_means(layer);
  const double linear = means.gate_linear_fraction, saturated = means.gate_saturated_fraction;
  return {linear, 1 - linear - saturated, saturated};
}

EffectSummary expert_effect(const TraceLayer& layer, EffectKind kind, std::int64_t expert) {
  const Trace& trace = layer.trace;
  const bool relative = kind == EffectKind::relative;
  const auto number = [&](std::span<const double> array) {
    const auto row = layer.part(array, trace.experts);
    return row.empty() ? kNaN : row[expert];
  };
  const EffectSummary effect{number(relative ? trace.effect_rel_mean : trace.effect_mean),
                             number(relative ? trace.effect_rel_abs : trace.effect_abs),
                             number(relative ? trace.effect_rel_rms : trace.effect_rms),
                             number(relative ? trace.effect_rel_positive : trace.effect_positive)};
  const double count = number(trace.effect_count);
  const double sum = effect.mean + effect.mean_abs + effect.rms + effect.positive_share;
  if (!(count > 0 && count < 9e18) || !std::isfinite(sum)) { return {}; }
  EffectSummary result = effect;
  result.count = static_cast<std::int64_t>(count);
  return result;
}

EffectSummary layer_effect(const TraceLayer& layer, EffectKind kind) {
  double n = 0, sum = 0, sum_abs = 0, square = 0, sum_positive = 0;
  for (std::int64_t e = 0; e < layer.experts; ++e) {
    const EffectSummary effect = expert_effect(layer, kind, e);
    if (effect.count == 0) { continue; }
    const auto count = static_cast<double>(effect.count);
    n += count;
    sum += count * effect.mean;
    sum_abs += count * effect.mean_abs;
    square += count * effect.rms * effect.rms;
    sum_positive += count * effect.positive_share;
  }
  if (!(n > 0 && n < 9e18)) { return {}; }
  return {sum / n, sum_abs / n, std::sqrt(square / n), sum_positive / n,
          static_cast<std::int64_t>(n)};
}

GateEffect gate_effect(double z, double kappa) {
  const double plain = silu(z, 1), d = silu(z, kappa) - plain;
  const double base = plain >= 0 ? std::max(plain, 1e-6) : std::min(plain, -1e-6);
  return {static_cast<float>(d), static_cast<float>(d / base)};
}

std::vector<EffectTail> effect_tails(const Trace& trace, EffectKind kind,
                                     std::span<const double> quantiles) {
  if (trace.corpus) {
    const CorpusTotals& totals = *trace.corpus;
    return corpus_tails(kind == EffectKind::absolute ? totals.effect : totals.effect_relative,
                        quantiles);
  }
  if (trace.kappa_values.empty() || trace.gate_pre.empty()) { return {}; }
  return tails_of(trace, kind, quantiles);
}

std::vector<EffectTail> effect_tails(const TraceLayer& layer, EffectKind kind,
                                     std::span<const double> quantiles) {
  if (layer.trace.kappa_values.empty() || layer.trace.gate_pre.empty()) { return {}; }
  return tails_of(layer, kind, quantiles);
}

}  // namespace kappascope
