// Draws clouds of points.
#pragma once

#include "core/figure/cells.h"
#include "core/figure/figure.h"
#include "core/figure/scene.h"

namespace kappascope {

// Where a cloud is: the plot, its axes, and the clip of its marks.
struct CloudPlace {
  Box plot;
  AxisSpan x, y;
  int clip = -1;
};

// `colours` belongs to coloured points, may be null. In a file very many are a picture; in a window
// those that later ones cover are left out.
void draw_points(Painter& painter, const Points& points, const CloudPlace& place,
                 const ColourMap* colours);

}  // namespace kappascope
