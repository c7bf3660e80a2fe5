// Statistics that follow the order of tokens, of a prompt and of what was generated after it apart
// (SPEC §10).
#pragma once

#include <cstdint>
#include <optional>

#include "core/nan.h"
#include "core/stats/layer.h"

namespace kappascope {

struct PhaseStatistics {
  std::int64_t tokens = 0;
  // As PairStatistics has them, of pairs of tokens within the part.
  double neighbour_overlap = kNaN, neighbour_chance = kNaN;
  std::int64_t hot_set = 0;  // experts with 90 % of the part's assignments
};

struct PhasesOfLayer {
  PhaseStatistics prompt, generated;
};
// Nothing where the trace is of no generated text.
std::optional<PhasesOfLayer> phase_statistics(const TraceLayer& layer);

}  // namespace kappascope
