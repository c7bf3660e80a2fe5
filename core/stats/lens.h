// What the logit lens of a trace says, layer × token.
#pragma once

#include <cstdint>
#include <vector>

#include "core/stats/maps.h"
#include "core/trace/trace.h"

namespace kappascope {

// [Ml,T] probability of the likeliest token; Trace::lens_layers is 0 without a lens.
LayerMap lens_probability(const Trace& trace);

// [Ml,T] place of the token that follows among the predictions, 1 the likeliest; NaN for the last
// token.
LayerMap lens_place(const Trace& trace);

// The row of the arrays [M,…] of each row of the lens; −1: its layer has no experts.
std::vector<std::int64_t> recorded_rows_of_lens(const Trace& trace);

}  // namespace kappascope
