#include "core/trace/kappa_totals.h"

#include <algorithm>
#include <cmath>

#include "core/nan.h"
#include "core/trace/totals.h"

namespace kappascope {

void KappaTotals::add(const RowTokens& row, const KappaView& kappa) {
  static const std::size_t mean_of_slot = row_number("kappa_mean"),
                           score_of_slot = row_number("kappa_input");
  const auto experts = std::size_t(row.experts);
  mean.resize(experts);
  count.resize(experts);
  const bool scored = !kappa.fixed() && !kappa.from_gate && row.has(score_of_slot);
  if (scored) { score.resize(experts); }
  if (!row.has(mean_of_slot)) { return; }
  for (std::int64_t entry = 0; entry < row.tokens * row.slots; ++entry) {
    const float value = row.kept[entry] ? row.numbers[mean_of_slot][entry] : kNaN;
    if (!std::isfinite(value) || !row.counted[entry / row.slots]) { continue; }
    const std::int32_t e = row.expert[entry];
    mean[e].add(value);
    ++count[e];
    const float s = scored ? row.numbers[score_of_slot][entry] : kNaN;
    if (std::isfinite(s)) { score[e].add(s); }
  }
}

void KappaTotals::add_effect(const EffectSums* effect, std::int64_t experts,
                             const KappaView& kappa) {
  log.resize(std::size_t(experts));
  log_count.resize(std::size_t(experts));
  for (std::int64_t e = 0; e < experts; ++e) {
    const auto gates = double(effect[e].count);
    const double factor = kappa.at_expert(e).factor_value();
    const double sum = double(kappa.log_bound) * effect[e].tanh_sum + gates * std::log(factor);
    if (!std::isfinite(sum) || !std::isfinite(effect[e].sum)) { continue; }
    log[e].add(sum);
    log_count[e] += effect[e].count;
  }
}

void KappaTotals::add(const KappaTotals& other) {
  add_sums(mean, other.mean);
  add_counts(count, other.count);
  add_sums(log, other.log);
  add_counts(log_count, other.log_count);
  score.resize(std::max(score.size(), other.score.size()));
  for (std::size_t e = 0; e < other.score.size(); ++e) { score[e].add(other.score[e]); }
}

double KappaTotals::rank_error() const {
  double error = 0;
  for (const ScoreSketch& sketch : score) { error = std::max(error, sketch.rank_error()); }
  return error;
}

bool KappaTotals::consistent(std::int64_t experts, std::int64_t gates) const {
  const auto fits = [&](std::size_t size) { return size == 0 || std::int64_t(size) == experts; };
  return fits(mean.size()) && mean.size() == count.size() && fits(log.size()) &&
         log.size() == log_count.size() && fits(score.size()) &&
         std::all_of(score.begin(), score.end(), [&](const ScoreSketch& sketch) {
           const double most = 0x1p62 / double(std::max<std::int64_t>(1, experts * gates));
           return sketch.consistent() && double(sketch.count()) <= most;
         });
}

}  // namespace kappascope
