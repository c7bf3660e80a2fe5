#include "core/figure/prepared.h"

#include "core/figure/marks.h"

namespace kappascope {
namespace {

void settle_colours(PanelGroupPlan& group, const Panel& panel) {
  if (group.scale) { return; }
  if (!panel.heat_map.empty() && !panel.heat_map[0].cells.empty()) {
    const HeatMap& map = panel.heat_map[0];
    group.scale = &map.colours;
    group.colours = std::make_shared<const ColourMap>(map.colours, map.cells);
  }
  for (const Points& points : panel.points) {
    if (group.scale || points.value.empty()) { continue; }
    group.scale = &points.colours;
    group.colours = std::make_shared<const ColourMap>(points.colours, points.value);
  }
}

void add_panel(PanelGroupPlan& group, const Panel& panel) {
  AxisPlan x, y;
  set_range(x, panel, true);
  set_range(y, panel, false);
  const bool first = group.panels.empty();
  if (panel.beside && !first) {
    y = group.y[0];  // shared axes have one range
  }
  if (panel.below && !first) { x = group.x[0]; }
  group.panels.push_back(&panel);
  group.x.push_back(std::move(x));
  group.y.push_back(std::move(y));
  settle_colours(group, panel);
}

}  // namespace

std::vector<PanelGroupPlan> plan_groups(const Figure& figure) {
  std::vector<PanelGroupPlan> groups;
  for (const Panel& panel : figure.panels) {
    require_consistent(panel);
    if (groups.empty() || !(panel.beside || panel.below)) { groups.emplace_back(); }
    add_panel(groups.back(), panel);
  }
  return groups;
}

PreparedFigure::PreparedFigure(Figure made) : figure(std::move(made)), groups(plan_groups(figure)) {
  for (const Panel& panel : figure.panels) {
    const bool map = !panel.heat_map.empty() && !panel.heat_map[0].cells.empty();
    cells.push_back(map ? std::make_shared<const CellPyramid>(panel.heat_map[0]) : nullptr);
    empty.push_back(is_empty(panel));
  }
  for (const PanelGroupPlan& group : groups) {
    keys.push_back(keys_of(group.panels, group.colours.get()));
  }
}

}  // namespace kappascope
