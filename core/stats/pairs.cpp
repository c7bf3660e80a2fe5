#include "core/stats/pairs.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <span>

#include "core/stats/router.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {
namespace {

// Entropy in nats of counts, with (m − 1)/2n added for m of them that are not 0.
double entropy_of(std::span<const std::int64_t> counts) {
  std::int64_t all = 0, used = 0;
  double sum = 0;
  for (const std::int64_t count : counts) {
    if (count == 0) { continue; }
    all += count;
    ++used;
    sum += double(count) * std::log(double(count));
  }
  if (all == 0) { return kNaN; }
  const auto n = double(all);
  return std::log(n) - sum / n + double(used - 1) / (2 * n);
}

double predictability_of(const std::vector<std::int64_t>& transition) {
  const auto experts = std::size_t(std::llround(std::sqrt(double(transition.size()))));
  std::vector<std::int64_t> before(experts, 0), here(experts, 0);
  for (std::size_t i = 0; i < transition.size(); ++i) {
    before[i / experts] += transition[i];
    here[i % experts] += transition[i];
  }
  const double entropy = entropy_of(here);
  if (!(entropy > 0)) { return kNaN; }
  return (entropy_of(before) + entropy - entropy_of(transition)) / entropy;
}

}  // namespace

std::int64_t hot_set(std::vector<std::int64_t> assigned) {
  std::sort(assigned.begin(), assigned.end(), std::greater<>());
  const auto all = std::accumulate(assigned.begin(), assigned.end(), std::int64_t{0});
  std::int64_t experts = 0, sum = 0;
  while (10 * sum < 9 * all) { sum += assigned[experts++]; }
  return experts;
}

PairTotals pair_totals(const TraceLayer& layer) {
  if (layer.trace.corpus) { return layer.trace.corpus->rows[layer.row].pairs; }
  PairTotals pairs;
  std::vector<std::int32_t> before;
  if (layer.row > 0) { before = first_choices(row_tokens(TraceLayer(layer.trace, layer.row - 1))); }
  pairs.add(row_tokens(layer), {{0, layer.tokens}}, before);
  return pairs;
}

PairStatistics pair_statistics(const PairTotals& pairs, const ChoiceTotals& choices) {
  PairStatistics result;
  if (!pairs.transition.empty()) {
    result.predictability = predictability_of(pairs.transition);
    result.predictability_shuffled = predictability_of(pairs.transition_shuffled);
  }
  if (pairs.neighbours > 0) {
    result.neighbour_overlap = pairs.neighbour_share.value() / double(pairs.neighbours);
  }
  double sum = 0, square = 0;
  for (const std::int64_t count : choices.assigned) {
    const double share = double(count) / double(choices.tokens);
    sum += share;
    square += share * share;
  }
  if (sum > 0) { result.neighbour_chance = square / sum; }
  return result;
}

}  // namespace kappascope
