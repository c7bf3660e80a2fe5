// A Figure in the window: laid out by core for its size and what is in sight, drawn, and in the
// hand of the user. Nothing is computed here: what is under the pointer is core's readout(), cells
// are core's CellPyramid.
#pragma once

#include <imgui.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/gui/cell_tiles.h"
#include "app/gui/theme.h"
#include "app/gui/workspace.h"
#include "core/figure/prepared.h"
#include "core/figure/scene.h"

namespace kappascope::gui {

// What keys ask of a figure: steps of the selected cell, zoom in (> 0) and out, all of it.
struct FigureKeys {
  int right = 0, up = 0, zoom = 0;
  bool all = false;
};

// The scene of a figure and what it was laid out for: as long as that is the same, so is the scene.
struct LaidOutFigure {
  Scene scene;
  std::vector<PanelSight> sights;
  double width = 0, height = 0;
  float scale = 0;  // pixels of a point
  const Theme* theme = nullptr;
  int fonts = 0;  // in the atlas: more glyphs have other widths
  // The points of the selection, in each panel.
  Subject selection;
  std::vector<std::vector<Point>> chosen;
};

// What one view keeps from frame to frame.
struct FigureViewState {
  std::shared_ptr<const PreparedFigure> shown;    // the last one that was ready
  std::vector<std::unique_ptr<CellTiles>> tiles;  // of each panel
  LaidOutFigure laid_out;
  // Of each panel, in sight; shared ones are at the first of the group.
  std::vector<AxisSpan> x, y;
  bool fit = true;      // next frame: axes as the figure has them
  bool linear = false;  // logarithmic axes drawn linear
  bool grows = false;   // figures follow each other as data arrives: what was zoomed into stays
  // Zoom along tokens that it shares with other views (nothing: all tokens); null: its own.
  std::optional<AxisSpan>* tokens = nullptr;
  FigureKeys keys;  // pressed for it in this frame
};

// Something of it was missing in the last frame: another frame is needed.
bool is_incomplete(const FigureViewState& state);

// Takes another figure in the place of the one shown; the axes show all of it, but those that were
// zoomed where its axes are the same, or where figures grow.
void take_figure(FigureViewState& state, const std::shared_ptr<const PreparedFigure>& figure);

// The axes as the figure has them.
void fit_figure(FigureViewState& state);

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
