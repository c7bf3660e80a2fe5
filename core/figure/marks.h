// Draws the marks inside a pair of axes.
#pragma once

#include <string>

#include "core/figure/axis.h"
#include "core/figure/cells.h"
#include "core/figure/figure.h"
#include "core/figure/scene.h"

namespace kappascope {

// A panel whose place is settled.
struct PlacedPanel {
  const Panel* panel = nullptr;
  bool empty = false;
  Box plot;
  AxisPlan x, y;
  AxisRoom x_room, y_room;
};

// Every mark but the cells, from behind to the front; `colours` belongs to coloured points, may be
// null. Points beyond given axis ends are cut away.
void draw_marks(Painter& painter, const PlacedPanel& placed, const ColourMap* colours, double font);

// The label of a reference line, kReferenceGap points to the right of the plot; in a window whole.
std::string reference_text(const ReferenceLine& line, double font, TextMeter& meter, bool whole);
inline constexpr double kReferenceGap = 2;

}  // namespace kappascope
