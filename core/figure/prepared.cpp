#include "core/figure/prepared.h"

#include <algorithm>
#include <cmath>

namespace kappascope {
namespace {

bool any_finite(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

// Throws internal unless the parts of every mark have the sizes that belong together.
void require_consistent(const Panel& panel) {
  bool good = true;
  const auto same = [&](std::size_t a, std::size_t b) { good = good && a == b; };
  for (const HeatMap& m : panel.heat_map) {
    same(m.cells.size(), static_cast<std::size_t>(m.rows * m.columns));
    good = good && (m.experts.empty() || m.experts.size() == m.cells.size());
    for (const std::uint32_t at : m.outlined) { good = good && at < m.cells.size(); }
  }
  for (const Line& l : panel.lines) {
    same(l.x.size(), l.y.size());
    same(l.low.size(), l.high.size());
    good = good && (l.low.empty() || l.low.size() == l.x.size());
  }
  for (const Points& p : panel.points) {
    same(p.x.size(), p.y.size());
    good = good && (p.value.empty() || p.value.size() == p.x.size());
    good = good && (p.subjects.empty() || p.subjects.size() == p.x.size());
  }
  for (const Bars& b : panel.bars) { same(b.position.size(), b.value.size()); }
  for (const StackedBars& s : panel.stacks) {
    same(s.names.size(), s.values.size());
    same(s.colours.size(), s.values.size());
    for (const auto& part : s.values) { same(part.size(), s.position.size()); }
  }
  for (const Violin& v : panel.violins) {
    good = good && (v.density.empty() || v.density.size() == v.value.size());
  }
  for (const Bins& b : panel.bins) {
    good = good && (b.counts.empty() || b.edges.size() == b.counts.size() + 1);
  }
  require(good, ExitCode::internal, {}, "panel '", panel.title,
          "': parts of a mark differ in size");
}

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
  group.empty.push_back(is_empty(panel));
  settle_colours(group, panel);
}

// The same legend above each of several groups is one above them all.
void share_keys(std::vector<PanelGroupPlan>& groups) {
  std::vector<const PanelGroupPlan*> keyed;
  for (const PanelGroupPlan& group : groups) {
    if (!group.keys.empty()) { keyed.push_back(&group); }
  }
  const bool same = std::all_of(keyed.begin(), keyed.end(), [&](const PanelGroupPlan* group) {
    return group->keys == keyed[0]->keys;
  });
  for (PanelGroupPlan& group : groups) { group.shares_keys = same && keyed.size() > 1; }
}

}  // namespace

bool is_empty(const Panel& panel) {
  const auto shows = [](const auto& marks, const auto& test) {
    return std::any_of(marks.begin(), marks.end(), test);
  };
  const auto stacked = [](const StackedBars& s) {
    return std::any_of(s.values.begin(), s.values.end(), any_finite);
  };
  const auto cells = [](const HeatMap& m) {
    return std::any_of(m.cells.begin(), m.cells.end(), [](float v) { return std::isfinite(v); });
  };
  return !shows(panel.heat_map, cells) && !shows(panel.stacks, stacked) &&
         !shows(panel.lines, [](const Line& l) { return any_finite(l.y); }) &&
         !shows(panel.points, [](const Points& p) { return any_finite(p.y); }) &&
         !shows(panel.bars, [](const Bars& b) { return any_finite(b.value); }) &&
         !shows(panel.violins,
                [](const Violin& v) { return any_finite(v.value) || std::isfinite(v.middle); }) &&
         !shows(panel.bins, [](const Bins& h) { return any_finite(h.counts); });
}

std::vector<PanelGroupPlan> plan_groups(const Figure& figure) {
  std::vector<PanelGroupPlan> groups;
  for (const Panel& panel : figure.panels) {
    require_consistent(panel);
    if (groups.empty() || !(panel.beside || panel.below)) { groups.emplace_back(); }
    add_panel(groups.back(), panel);
  }
  for (PanelGroupPlan& group : groups) { group.keys = keys_of(group.panels, group.colours.get()); }
  share_keys(groups);
  return groups;
}

std::vector<Key> shared_keys(const std::vector<PanelGroupPlan>& groups) {
  for (const PanelGroupPlan& group : groups) {
    if (group.shares_keys && !group.keys.empty()) { return group.keys; }
  }
  return {};
}

PreparedFigure::PreparedFigure(Figure made) : figure(std::move(made)), groups(plan_groups(figure)) {
  for (const Panel& panel : figure.panels) {
    const bool map = !panel.heat_map.empty() && !panel.heat_map[0].cells.empty();
    cells.push_back(map ? std::make_shared<const CellPyramid>(panel.heat_map[0]) : nullptr);
  }
}

}  // namespace kappascope
