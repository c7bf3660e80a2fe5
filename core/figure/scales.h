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
ColourScale lens_probability_colours();
ColourScale lens_place_colours();
ColourScale kappa_colours(const std::string& label);
// Of tokens; exact: as LayerMap says, else of means over gates.
ColourScale token_kappa_colours(bool exact);
ColourScale sharpness_colours();
// Of points by the relative depth of their layer: without the colours that paper hides.
ColourScale depth_colours();
ColourScale dropped_colours(double most);  // most: assignments that may be dropped

// Colours of the experts by their numbers, in any picture of this trace: of the palette when it
// suffices, else along a bar from pale to dark, distinct for every kind of colour vision.
ColourScale expert_colours(const Trace& trace);
// Value of expert e on that scale; NaN: no expert (e < 0).
float expert_value(std::int64_t e);

}  // namespace kappascope
