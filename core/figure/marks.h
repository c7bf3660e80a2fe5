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
  Box plot;
  AxisPlan x, y;
};

// Above this many points a cloud is drawn as a picture.
inline constexpr std::size_t kMostVectorPoints = 20000;

// Every mark but the cells, from behind to the front; `colours` belongs to coloured points, may be
// null. Points beyond given axis ends are cut away.
void draw_marks(Painter& painter, const PlacedPanel& placed, const ColourMap* colours, double font);

// The label of a reference line, kReferenceGap points to the right of the plot.
std::string reference_text(const ReferenceLine& line, double font, TextMeter& meter);
inline constexpr double kReferenceGap = 2;

// Throws internal unless the parts of every mark have the sizes that belong together.
void require_consistent(const Panel& panel);

// True when no mark of the panel has anything to show.
bool is_empty(const Panel& panel);

}  // namespace kappascope
