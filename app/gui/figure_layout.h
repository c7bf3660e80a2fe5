// Where the panels of a figure are on the screen.
#pragma once

#include <cstddef>
#include <vector>

#include "app/gui/figure_axes.h"
#include "app/gui/figure_marks.h"
#include "core/figure/prepared.h"

namespace kappascope::gui {

struct PanelPlace {
  PlotPlace plot;
  AxisTicks x_ticks, y_ticks;
  bool x_named = true, y_named = true;
  ScreenBox x_strip, y_strip;  // of the axes' text
  NameRoom x_name, y_name;
};

struct GroupPlace {
  ScreenBox area;
  float title_top = 0, legend_top = 0;
  std::vector<PanelPlace> panels;
  ScreenBox bar;       // of no height: none
  bool brief = false;  // little room: no notes at the colour bar
};

// The part of the axes that is in sight, of one panel.
struct PanelSight {
  AxisView x, y;
};

// Groups in columns where each has room, else below each other; `height` of all of them is at least
// that of `area`, more when they would be too low.
std::vector<ScreenBox> arrange_groups(const PreparedFigure& figure, const ScreenBox& area);

// `sights`: one for each panel of the group; their pixels are set here.
GroupPlace lay_out_group(const PreparedFigure& figure, std::size_t group, const ScreenBox& area,
                         const std::vector<PanelSight>& sights);

}  // namespace kappascope::gui
