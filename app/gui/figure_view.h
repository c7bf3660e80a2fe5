// Draws a Figure into the window: the one place that calls ImPlot. Nothing is computed here: what
// is under the pointer is core's readout(), cells are core's CellPyramid.
#pragma once

#include <imgui.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/gui/cell_tiles.h"
#include "app/gui/figure_marks.h"
#include "app/gui/theme.h"
#include "app/gui/workspace.h"

namespace kappascope::gui {

// ImPlot's state and the textures of figures; one while figures are drawn, in the context of Dear
// ImGui that is current when it is made.
class PlotContext {
 public:
  PlotContext();
  ~PlotContext();
  PlotContext(const PlotContext&) = delete;
  PlotContext& operator=(const PlotContext&) = delete;
};

// What keys ask of a figure: steps of the selected cell, zoom in (> 0) and out, all of it.
struct FigureKeys {
  int right = 0, up = 0, zoom = 0;
  bool all = false;
};

// What one view keeps from frame to frame.
struct FigureViewState {
  std::shared_ptr<const PreparedFigure> shown;    // the last one that was ready
  std::vector<std::unique_ptr<CellTiles>> tiles;  // of each panel
  std::vector<DotCloud> clouds;                   // of each panel
  std::vector<AxisSpan> x,
      y;                // of each panel, in sight; shared ones are at the first of the group
  bool fit = true;      // next frame: axes as the figure has them
  bool linear = false;  // logarithmic axes drawn linear
  // Zoom along tokens that it shares with other views (nothing: all tokens); null: its own.
  std::optional<AxisSpan>* tokens = nullptr;
  FigureKeys keys;  // pressed for it in this frame
};

// Something of it was missing in the last frame: another frame is needed.
bool is_incomplete(const FigureViewState& state);

// What is in sight of its token axis; nothing: all, or no such axis.
std::optional<AxisSpan> span_of_tokens(const FigureViewState& state);

// Draws `figure` (title and subtitle outside) into the space that is left, at most `size`. Marks
// the cells, lines and points of `selection`. Returns what a click or a key named, if any did. Null
// figure: the one shown last.
std::optional<Subject> draw_figure(const char* id,
                                   const std::shared_ptr<const PreparedFigure>& figure,
                                   const Subject& selection, const Theme& theme,
                                   FigureViewState& state, ImVec2 size);

}  // namespace kappascope::gui
