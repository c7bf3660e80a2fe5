#include "core/stats/kappa_corpus.h"

#include <cmath>
#include <optional>

namespace kappascope {
namespace {

const KappaTotals& totals_of(const TraceLayer& layer) {
  return layer.trace.corpus->rows[layer.row].kappa;
}

bool has_kappa(const TraceLayer& layer, std::int64_t e) {
  const std::vector<std::int64_t>& count = totals_of(layer).count;
  return e < std::ssize(count) && count[e] > 0;
}

// Where κ is constant: the number to which the run set it, else the one of all experts.
float constant_of(const TraceLayer& layer, std::int64_t e) {
  if (const std::optional<double> own = kappa_set_by_run(layer, e)) { return float(*own); }
  constexpr double kLeast[] = {0};
  const RowTotals& row = layer.trace.corpus->rows[layer.row];
  return float(row.numbers[row_number("kappa_min")].quantiles.quantiles(kLeast)[0]);
}

}  // namespace

CorpusKappa::CorpusKappa(const TraceLayer& layer, const KappaFunction& kappa, std::int64_t expert)
    : KappaValues(layer, kappa), values_(std::size_t(layer.experts)) {
  const KappaTotals& totals = totals_of(layer);
  for (std::int64_t e = 0; e < layer.experts; ++e) {
    if (expert >= 0 && e != expert) { continue; }
    if (kappa.source == KappaFunction::Source::sketched) {
      values_[e] = totals.score[e].weighted();
    } else if (kappa.source == KappaFunction::Source::constant && has_kappa(layer, e)) {
      values_[e] = {{constant_of(layer, e), totals.count[e]}};
    }
  }
}

std::int64_t CorpusKappa::count(std::int64_t e) const {
  std::int64_t slots = 0;
  for (const auto& [value, times] : values_[e]) { slots += times; }
  return slots * kappa_.gates;
}

std::int64_t CorpusKappa::count() const {
  std::int64_t all = 0;
  for (std::int64_t e = 0; e < experts(); ++e) { all += count(e); }
  return all;
}

std::vector<float> CorpusKappa::order_statistics(const std::vector<std::int64_t>& ranks,
                                                 std::int64_t expert) const {
  return kappascope::order_statistics(ranks, [&](auto&& visit) {
    for (std::int64_t e = 0; e < experts(); ++e) {
      if (expert < 0 || e == expert) { each(e, visit); }
    }
  });
}

double corpus_log_kappa(const TraceLayer& layer, const KappaFunction& kappa, std::int64_t expert) {
  const KappaTotals& totals = totals_of(layer);
  Sum sum;
  std::int64_t count = 0;
  for (std::int64_t e = 0; e < std::ssize(totals.log); ++e) {
    if (expert >= 0 && e != expert) { continue; }
    sum.add(totals.log[e]);
    count += totals.log_count[e];
  }
  if (count == 0 && kappa.source == KappaFunction::Source::constant) {
    const CorpusKappa population(layer, kappa, expert);
    for (std::int64_t e = 0; e < population.experts(); ++e) {
      population.each(e, [&](float value, std::int64_t times) {
        sum.add(population.log_kappa(value) * double(times));
        count += times;
      });
    }
  }
  return count > 0 ? sum.value() / double(count) : kNaN;
}

double corpus_rank_error(const TraceLayer& layer, const KappaFunction& kappa, std::int64_t expert) {
  if (kappa.source != KappaFunction::Source::sketched) { return 0; }
  const KappaTotals& totals = totals_of(layer);
  return expert < 0 ? totals.rank_error() : totals.score[expert].rank_error();
}

double corpus_mean_kappa(const TraceLayer& layer, std::int64_t expert) {
  const KappaTotals& totals = totals_of(layer);
  if (expert >= std::ssize(totals.mean) || totals.count[expert] == 0) { return kNaN; }
  return totals.mean[expert].value() / double(totals.count[expert]);
}

double corpus_sqrt_n_mean(const TraceLayer& layer) {
  const KappaTotals& totals = totals_of(layer);
  double sum = 0, roots = 0;
  for (std::int64_t e = 0; e < std::ssize(totals.mean); ++e) {
    if (totals.count[e] == 0) { continue; }
    const double root = std::sqrt(double(totals.count[e]));
    sum += root * corpus_mean_kappa(layer, e);
    roots += root;
  }
  return roots > 0 ? sum / roots : kNaN;
}

}  // namespace kappascope
