// Means with their 5–95 % bands over the tokens, or the kept assignments, of one layer.
#pragma once

#include <span>

#include "core/stats/kappa.h"
#include "core/stats/layer.h"
#include "core/stats/mean.h"

namespace kappascope {

// Of an array [M,T] over the tokens where it is finite; NaN without any, or without the array.
Band over_tokens(const TraceLayer& layer, std::span<const float> array);

// Of an array [M,T,K] over the kept assignments.
Band over_entries(const TraceLayer& layer, std::span<const float> array);

// κ over kept (token, slot, gate) as figures draw it over depth: kappa_band() with the geometric
// mean as `mean`.
KappaBand kappa_over_entries(const TraceLayer& layer);

}  // namespace kappascope
