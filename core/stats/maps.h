// Matrices and series behind the figures over layers, tokens and experts (SPEC §6).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/engine/progress.h"
#include "core/trace/trace.h"

namespace kappascope {

struct LayerMap {
  std::int64_t rows = 0, columns = 0;  // recorded layers × tokens or experts
  std::vector<float> values;           // [rows, columns]; NaN where there is nothing
  bool exact = true;                   // false: see the function
};

// With `only` ≥ 0 a map over tokens is the one row of that recorded layer.

// [M,T] an array [M,T] as it is; NaN where the trace has not recorded it.
LayerMap layer_token_values(const Trace& trace, std::span<const float> array,
                            std::int64_t only = -1);

// [M,T] mean over the token's kept slots, weighted by their combine weights, of an array [M,T,K].
LayerMap layer_token_mean(const Trace& trace, std::span<const float> array, std::int64_t only = -1);

// [M,E] mean over the expert's kept tokens of an array [M,T,K].
LayerMap layer_expert_mean(const Trace& trace, std::span<const float> array);

// The same two of κ: means of ln κ (over gates, too), given as κ. Not exact where κ does not follow
// from s and known parameters: then of ln of the recorded mean κ, which is never smaller. Much work
// where every gate unit has its own κ: `progress` as for_each_layer() has it.
LayerMap layer_token_kappa(const Trace& trace, std::int64_t only = -1,
                           Progress* progress = nullptr);
LayerMap layer_expert_kappa(const Trace& trace, Progress* progress = nullptr);

// [M,E] load over its even share 1/E, and gate mass over its mean over experts; NaN beyond a
// layer's E.
LayerMap relative_load(const Trace& trace);
LayerMap relative_gate_mass(const Trace& trace);

// [M,T] assignments of the token that were dropped.
LayerMap dropped_slots(const Trace& trace, std::int64_t only = -1);

// [columns] of the finite values of each column; NaN where there is none.
enum class OverLayers : std::uint8_t { mean, geometric_mean, least, sum };
std::vector<float> over_layers(const LayerMap& map, OverLayers over);

// [T] mean of the finite values among the `window` ones around each place (for an even window one
// more before it than after it), fewer at the ends.
std::vector<double> running_mean(std::span<const float> values, std::int64_t window);

}  // namespace kappascope
