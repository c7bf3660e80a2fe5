// A figure with everything that needs a pass over its data, made once, so that a window can draw it
// at every frame and pictures are laid out from the very same ends of axes and colours.
#pragma once

#include <memory>
#include <vector>

#include "core/error.h"
#include "core/figure/axis.h"
#include "core/figure/cells.h"
#include "core/figure/figure.h"
#include "core/figure/keys.h"
#include "core/figure/pyramid.h"

namespace kappascope {

// Panels that share axes, legend and colour bar: one, and those beside and below it.
struct PanelGroupPlan {
  std::vector<const Panel*> panels;
  std::vector<AxisPlan> x, y;          // of each panel: the ends; ticks are not planned yet
  const ColourScale* scale = nullptr;  // of the cells or coloured points; null: there are none
  std::shared_ptr<const ColourMap> colours;  // null where `scale` is
  std::vector<bool> empty;                   // of each panel: no value to show
  std::vector<Key> keys;                     // of the legend
  bool shares_keys = false;  // with all others that have any: the figure has one legend for them
};

// True when no mark of the panel has anything to show.
bool is_empty(const Panel& panel);

// In the order of figure.panels, to which they point. Parts of a mark that differ in size:
// internal.
std::vector<PanelGroupPlan> plan_groups(const Figure& figure);
// The keys that groups share; empty: each has its own.
std::vector<Key> shared_keys(const std::vector<PanelGroupPlan>& groups);

// What is in sight of the axes of a panel.
struct PanelSight {
  AxisSpan x, y;
  bool operator==(const PanelSight&) const = default;
};

// Moved, never copied: its parts point to each other.
struct PreparedFigure {
  PreparedFigure() = default;
  explicit PreparedFigure(Figure made);
  PreparedFigure(PreparedFigure&&) = default;
  PreparedFigure& operator=(PreparedFigure&&) = default;

  Figure figure;
  std::vector<std::shared_ptr<const CellPyramid>> cells;  // of each panel; null: no heat map
  std::vector<PanelGroupPlan> groups;
  Failure failure;  // why there is no figure
};

}  // namespace kappascope
