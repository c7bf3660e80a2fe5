#include "core/stats/kappa_corpus.h"

#include <cmath>

namespace kappascope {
namespace {

const KappaTotals& totals_of(const TraceLayer& layer) {
  return layer.trace.corpus->rows[layer.row].kappa;
}

}  // namespace

SketchedKappa::SketchedKappa(const TraceLayer& layer, const KappaFunction& kappa)
    : KappaValues(layer, kappa) {
  for (const ScoreSketch& sketch : totals_of(layer).score) { scores_.push_back(sketch.weighted()); }
}

std::int64_t SketchedKappa::count(std::int64_t e) const {
  return totals_of(layer_).score[e].count() * kappa_.gates;
}

std::int64_t SketchedKappa::count() const {
  std::int64_t all = 0;
  for (std::int64_t e = 0; e < experts(); ++e) { all += count(e); }
  return all;
}

double corpus_log_kappa(const TraceLayer& layer, std::int64_t expert) {
  const KappaTotals& totals = totals_of(layer);
  Sum sum;
  std::int64_t count = 0;
  for (std::int64_t e = 0; e < std::ssize(totals.log); ++e) {
    if (expert >= 0 && e != expert) { continue; }
    sum.add(totals.log[e]);
    count += totals.log_count[e];
  }
  return count > 0 ? sum.value() / double(count) : kNaN;
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
