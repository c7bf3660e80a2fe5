#include "core/stats/phases.h"

#include <algorithm>
#include <vector>

#include "core/stats/pairs.h"
#include "core/stats/router.h"

namespace kappascope {
namespace {

PhaseStatistics statistics_of(const TraceLayer& layer, std::int8_t phase) {
  const std::span<const std::int8_t> phases = layer.trace.phase;
  std::vector<std::uint8_t> taken;
  for (std::int64_t t = 0; t < layer.tokens; ++t) {
    taken.push_back(phases[t] == phase && layer.counts(t));
  }
  RowTokens row = row_tokens(layer);
  leave_out(row, taken);
  ChoiceTotals choices;
  choices.add(row);
  PairTotals pairs;
  pairs.add(row, {{0, layer.tokens}}, {});
  const PairStatistics together = pair_statistics(pairs, choices);
  return {choices.tokens, together.neighbour_overlap, together.neighbour_chance,
          hot_set(choices.assigned)};
}

}  // namespace

std::optional<PhasesOfLayer> phase_statistics(const TraceLayer& layer) {
  if (layer.trace.phase.empty()) { return {}; }
  return PhasesOfLayer{statistics_of(layer, 0), statistics_of(layer, 1)};
}

}  // namespace kappascope
