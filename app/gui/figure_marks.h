// The marks of a panel on the screen, as pictures draw them.
#pragma once

#include <imgui.h>

#include <cstdint>
#include <vector>

#include "app/gui/figure_axes.h"
#include "app/gui/theme.h"
#include "app/gui/workspace.h"
#include "core/figure/cells.h"
#include "core/figure/figure.h"

namespace kappascope::gui {

// A panel on the screen.
struct PlotPlace {
  const Panel* panel = nullptr;
  ScreenBox box;
  AxisView x, y;
};

// The dots of a panel that are in sight, one per place; made again when the view changes.
struct DotCloud {
  struct Dot {
    ImVec2 at;
    ImU32 colour;
  };
  ScreenBox box;  // for which they were made
  AxisView x, y;
  bool dark = false;
  std::vector<Dot> dots;
  Subject selection;
  std::vector<ImVec2> chosen;  // those of the selection
};

// Frames, names and hatching of the cells in sight.
void draw_cell_marks(ImDrawList& list, const PlotPlace& place, const HeatMap& map,
                     const ColourMap& colours);
// All other marks. `colours`: of coloured points, may be null.
void draw_marks(ImDrawList& list, const PlotPlace& place, const ColourMap* colours,
                const Subject& selection, const Theme& theme, DotCloud& cloud);
// In the place of marks: why there are none.
void draw_reason(ImDrawList& list, const Panel& panel, const ScreenBox& box, const Theme& theme);
// Labels of reference lines, beside the plot, where no data is: room that they need to its right.
float reference_room(const Panel& panel);
void draw_reference_labels(ImDrawList& list, const PlotPlace& place, const Theme& theme);
// Position on the axis of what is selected; −1: none.
std::int64_t selected_position(const Figure& figure, const FigureAxis& axis,
                               const Subject& selection);
// The selected layer, token and expert where they are on an axis.
void draw_selection(ImDrawList& list, const Figure& figure, const PlotPlace& place,
                    const Subject& selection, const Theme& theme);

}  // namespace kappascope::gui
