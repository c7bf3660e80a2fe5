// Colour scales that figures and coloured text share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/figure/figure.h"
#include "core/trace/trace.h"

namespace kappascope {

ColourScale nll_colours();
ColourScale confidence_colours();
ColourScale margin_colours(const Trace& trace);
ColourScale entropy_colours();
ColourScale kappa_colours(const std::string& label);
ColourScale sharpness_colours();
ColourScale dropped_colours(double most);  // most: assignments that may be dropped

// Experts that get a colour in any picture of this trace: all when the palette suffices, else the
// most used numbers over all layers, ascending. Value i of the scale is the i-th of them.
std::vector<std::int64_t> coloured_experts(const Trace& trace);
ColourScale expert_colours(const std::vector<std::int64_t>& coloured);
// Value of expert e on that scale; −1: one of the others; NaN: no expert (e < 0).
float expert_value(const std::vector<std::int64_t>& coloured, std::int64_t e);

}  // namespace kappascope
