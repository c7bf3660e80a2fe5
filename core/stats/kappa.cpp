#include "core/stats/kappa.h"

#include <algorithm>
#include <cmath>

#include "core/stats/kappa_corpus.h"
#include "core/stats/kappa_histogram.h"
#include "core/stats/kappa_population.h"
#include "core/stats/select.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {
namespace {

bool gates_agree(const TraceLayer& layer) {
  if (layer.trace.corpus) {
    const RowTotals& row = layer.trace.corpus->rows[layer.row];
    constexpr double kEnds[] = {0, 1};
    const auto low = row.numbers[row_number("kappa_min")].quantiles.quantiles(kEnds);
    const auto high = row.numbers[row_number("kappa_max")].quantiles.quantiles(kEnds);
    return low[0] == high[1];
  }
  const auto low = layer.slot_part(layer.trace.kappa_min);
  const auto high = layer.slot_part(layer.trace.kappa_max);
  if (low.empty() || high.empty()) { return false; }
  for (std::int64_t entry = 0; entry < layer.tokens * layer.slots; ++entry) {
    const auto at = static_cast<std::size_t>(entry);
    if (layer.kept(entry) && std::isfinite(low[at]) && low[at] != high[at]) { return false; }
  }
  return true;
}

// Mean of the `part` largest κ (largest = true) or smallest of one expert: the values beyond the
// one at the border, and as many of the border's own value as are missing.
struct Tails {
  double top = kNaN, bottom = kNaN;
};
template <typename Population>
Tails tails_of(const Population& population, std::int64_t e) {
  const std::int64_t n = population.count(e), part = (n + 19) / 20;  // ⌈5 %⌉
  const std::vector<float> border = population.order_statistics({part - 1, n - part}, e);
  double low_sum = 0, high_sum = 0;
  std::int64_t low_count = 0, high_count = 0;
  population.each(e, [&](float u, std::int64_t multiplicity) {
    if (u < border[0]) {
      low_sum += population.kappa(u) * static_cast<double>(multiplicity);
      low_count += multiplicity;
    }
    if (u > border[1]) {
      high_sum += population.kappa(u) * static_cast<double>(multiplicity);
      high_count += multiplicity;
    }
  });
  low_sum += population.kappa(border[0]) * static_cast<double>(part - low_count);
  high_sum += population.kappa(border[1]) * static_cast<double>(part - high_count);
  return {high_sum / static_cast<double>(part), low_sum / static_cast<double>(part)};
}

// 5, 50 and 95 % of all κ.
template <typename Population>
void set_quantiles(Band& band, const Population& population) {
  if (population.count() == 0) { return; }
  const std::vector<double> values = quantiles_among(
      population.count(), kBandQuantiles,
      [&](const std::vector<std::int64_t>& ranks) { return population.order_statistics(ranks); },
      [&](float u) { return population.kappa(u); });
  band.p05 = values[0];
  band.p50 = values[1];
  band.p95 = values[2];
}

template <typename Population>
void set_tails(KappaSummary& summary, const Population& population) {
  Mean top, bottom;
  for (std::int64_t e = 0; e < population.experts(); ++e) {
    if (population.count(e) == 0) { continue; }
    const Tails tails = tails_of(population, e);
    top.add(tails.top);
    bottom.add(tails.bottom);
  }
  summary.top5_mean = top.value();
  summary.bottom5_mean = bottom.value();
}

// Of a corpus: of the numbers of its experts, or of the scores that are kept, or what was counted
// in bins. `population`: of the layer, or of the expert.
KappaBand corpus_band(const TraceLayer& layer, const KappaFunction& kappa,
                      const CorpusKappa& population, std::int64_t expert) {
  const double mean = expert < 0 ? layer.trace.corpus->rows[layer.row].mean("kappa_mean")
                                 : corpus_mean_kappa(layer, expert);
  KappaBand result;
  if (kappa.by_gate()) {
    set_quantiles(result.band, population);
    result.rank_error = corpus_rank_error(layer, kappa, expert);
  } else {
    result = histogram_band(kappa_density(layer, kappa, expert));
  }
  result.band.mean = mean;
  result.log_mean = corpus_log_kappa(layer, kappa, expert);
  result.log_exact = true;
  return result;
}

// κ̄_e of one expert from the recorded means of its entries.
Mean recorded_mean(const TraceLayer& layer, std::span<const std::int64_t> entries) {
  const std::span<const float> means = layer.slot_part(layer.trace.kappa_mean);
  Mean mean;
  for (const std::int64_t entry : entries) {
    if (!means.empty()) { mean.add(means[entry]); }
  }
  return mean;
}

// Σ_e √n_e·κ̄_e / Σ_e √n_e
double sqrt_n_mean(const TraceLayer& layer, const KappaPopulation& population) {
  double sum = 0, roots = 0;
  for (std::int64_t e = 0; e < population.experts(); ++e) {
    const Mean mean = recorded_mean(layer, population.entries(e));
    if (mean.count == 0) { continue; }
    const double root = std::sqrt(static_cast<double>(mean.count));
    sum += root * mean.value();
    roots += root;
  }
  return roots > 0 ? sum / roots : kNaN;
}

// The number to which the run set κ of one expert: it has no α and b, or they are 0 in the trace.
std::optional<double> set_of_expert(const TraceLayer& layer, std::int64_t e) {
  const Trace& trace = layer.trace;
  const bool edited = !trace.kappa_bias_in_force.empty() || !trace.kappa_scale_in_force.empty();
  if (trace.kappa_factor.empty() || !trace.kappa_in_force) { return std::nullopt; }
  const double factor = trace.kappa_factor[layer.row * trace.experts + e];
  const KappaSource source = trace.kappa_in_force->source(layer.row);
  if (source == KappaSource::fixed) { return factor; }  // nothing learned acts
  if (source == KappaSource::unknown || !edited) { return std::nullopt; }
  // There the score of a κ router is added to α·z + b.
  if (source == KappaSource::gate_pre && trace.kappa_in_force->router()) { return std::nullopt; }
  const KappaView view = trace.kappa_view(layer.row, e);
  const auto zero = [&](const float* values, std::int64_t stride) {
    for (std::int64_t i = 0; values != nullptr && i < (stride == 0 ? 1 : layer.gates); ++i) {
      if (values[i * stride] != 0) { return false; }
    }
    return true;
  };
  if (!zero(view.bias, view.gate_stride) || !zero(view.scale, view.scale_gate_stride)) {
    return std::nullopt;
  }
  return factor;
}

// Of a corpus. No score is kept where no parameter acts: then κ of every expert is one number.
KappaFunction::Source source_in_corpus(const TraceLayer& layer, KappaSource source) {
  using Source = KappaFunction::Source;
  const KappaTotals& totals = layer.trace.corpus->rows[layer.row].kappa;
  if (source == KappaSource::score && !totals.score.empty()) { return Source::sketched; }
  if (gates_agree(layer)) { return Source::constant; }
  if (source == KappaSource::gate_pre) { return Source::gate_pre; }
  for (std::int64_t e = 0; e < std::ssize(totals.count); ++e) {
    if (totals.count[e] > 0 && !set_of_expert(layer, e)) { return Source::unknown; }
  }
  return Source::constant;
}

// Mean of ln κ of the kept entries.
double mean_log_kappa(const KappaPopulation& population) {
  Mean mean;
  for (std::int64_t e = 0; e < population.experts(); ++e) {
    const Mean own = population.mean_log_kappa(e);
    mean.sum += own.sum;
    mean.count += own.count;
  }
  return mean.value();
}

}  // namespace

KappaFunction kappa_function(const TraceLayer& layer) {
  using Source = KappaFunction::Source;
  KappaFunction result;
  result.gates = layer.gates;
  result.in_force = layer.trace.kappa_in_force ? layer.trace.kappa_in_force
                                               : std::make_shared<KappaInForce>(layer.trace);
  const KappaView& view = result.in_force->view(layer.row);
  const KappaSource source = result.in_force->source(layer.row);
  const bool learned = source == KappaSource::score || source == KappaSource::gate_pre;
  if (layer.trace.corpus) {
    result.source = source_in_corpus(layer, source);
  } else if (learned) {
    result.source = source == KappaSource::score ? Source::parameters : Source::gate_pre;
  } else if (gates_agree(layer)) {
    result.source = Source::constant;
  }
  if (learned) {
    for (std::int64_t e = 0; e < layer.experts; ++e) {
      result.experts.push_back(view.at_expert(e));
    }
  }
  result.multiplier = result.in_force->multiplier();
  result.factors = view.factor != nullptr;
  return result;
}

double kappa_at(const KappaView& view, std::int64_t i, double s, double z) {
  const double factor = view.factor_value();
  if (view.fixed()) { return factor; }
  const double b = view.bias ? view.bias[i * view.gate_stride] : 0;
  const double a = view.scale ? view.scale[i * view.scale_gate_stride] : 0;
  const double u = view.from_gate ? a * z + (b + s) : view.scale ? a * s + b : s * b;
  return factor * std::exp(static_cast<double>(view.log_bound) * std::tanh(u));
}

std::optional<double> kappa_set_by_run(const TraceLayer& layer, std::int64_t expert) {
  const std::int64_t first = std::max<std::int64_t>(0, expert);
  const std::int64_t end = expert < 0 ? layer.experts : expert + 1;
  std::optional<double> common;
  for (std::int64_t e = first; e < end; ++e) {
    const std::optional<double> own = set_of_expert(layer, e);
    if (!own || (common && *common != *own)) { return std::nullopt; }
    common = own;
  }
  return common;
}

KappaBounds kappa_bounds(const TraceLayer& layer, std::int64_t expert) {
  const double bound = kappa_bound(layer);
  const std::span<const float> factors = layer.part(layer.trace.kappa_factor, layer.trace.experts);
  const std::int64_t first = std::max<std::int64_t>(0, expert);
  const std::int64_t end = expert < 0 ? layer.experts : expert + 1;
  KappaBounds bounds;
  bool any = false, one_factor = true;
  for (std::int64_t e = first; e < end && std::isfinite(bound); ++e) {
    const std::optional<double> set = set_of_expert(layer, e);
    const double factor = factors.empty() || std::isnan(factors[e]) ? 1 : factors[e];
    one_factor = one_factor && !set && (e == first || factor == bounds.factor);
    any = any || !set;
    bounds.factor = factor;
    bounds.lower = std::fmin(bounds.lower, set.value_or(std::min(bound, 1 / bound) * factor));
    bounds.upper = std::fmax(bounds.upper, set.value_or(std::max(bound, 1 / bound) * factor));
  }
  if (!one_factor) { bounds.factor = kNaN; }
  return any ? bounds : KappaBounds{};
}

KappaBand kappa_band(const TraceLayer& layer, const KappaFunction& kappa, std::int64_t expert) {
  if (layer.trace.corpus) {
    return corpus_band(layer, kappa, CorpusKappa(layer, kappa, expert), expert);
  }
  const KappaPopulation population(layer, kappa, expert);
  Mean mean;
  for (std::int64_t e = 0; e < population.experts(); ++e) {
    const Mean part = recorded_mean(layer, population.entries(e));
    mean.sum += part.sum;
    mean.count += part.count;
  }
  KappaBand result;
  if (!kappa.exact()) {
    result = histogram_band(kappa_density(layer, kappa, expert));
  } else {
    set_quantiles(result.band, population);
    result.log_mean = mean_log_kappa(population);
  }
  result.band.mean = mean.value();
  return result;
}

namespace {

template <typename Population>
KappaSummary summary_of(const KappaBand& band, const Population& population) {
  KappaSummary summary;
  summary.band.mean = band.band.mean;
  if (band.log_exact) { summary.log_mean = band.log_mean; }
  if (!band.exact) {
    summary.read_off = band.band;
    return summary;
  }
  summary.band = band.band;
  set_tails(summary, population);
  return summary;
}

}  // namespace

KappaSummary kappa_summary(const TraceLayer& layer, const KappaFunction& kappa) {
  KappaSummary summary;
  if (layer.trace.corpus) {
    const CorpusKappa population(layer, kappa);
    summary = summary_of(corpus_band(layer, kappa, population, -1), population);
    summary.sqrt_n_mean = corpus_sqrt_n_mean(layer);
    return summary;
  }
  const KappaPopulation population(layer, kappa);
  summary = summary_of(kappa_band(layer, kappa), population);
  summary.sqrt_n_mean = sqrt_n_mean(layer, population);
  return summary;
}

SlotLogKappa slot_log_kappa(const TraceLayer& layer, const KappaFunction& kappa) {
  SlotLogKappa result;
  result.value.assign(static_cast<std::size_t>(layer.tokens * layer.slots), kNaN);
  result.exact = kappa.exact();
  const KappaValues values(layer, kappa);
  const std::span<const float> means = layer.slot_part(layer.trace.kappa_mean);
  for (std::int64_t entry = 0; entry < layer.tokens * layer.slots; ++entry) {
    if (!values.counts(entry)) { continue; }
    result.value[entry] = result.exact ? values.mean_log_kappa_of_entry(layer.expert(entry), entry)
                                       : std::log(static_cast<double>(means[entry]));
  }
  return result;
}

}  // namespace kappascope
