// Means with their 5–95 % bands over the tokens, or the kept assignments, of one layer.
#pragma once

#include <string_view>

#include "core/stats/kappa.h"
#include "core/stats/layer.h"
#include "core/stats/mean.h"

namespace kappascope {

// Of one of kRowNumbers, over the tokens where it is finite or over the assignments that ran; NaN
// without any. Of a corpus the quantiles may be wrong by CorpusTotals::quantile_error().
Band number_band(const TraceLayer& layer, std::string_view number);

// κ over kept (token, slot, gate) as figures draw it over depth: kappa_band() with the geometric
// mean as `mean`.
KappaBand kappa_over_entries(const TraceLayer& layer);

}  // namespace kappascope
