#include "core/figure/map_difference.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace kappascope {
namespace {

bool comparable(const Panel& a, const Panel& b) {
  if (a.heat_map.size() != 1 || b.heat_map.size() != 1) { return false; }
  const HeatMap &one = a.heat_map[0], &two = b.heat_map[0];
  return one.rows == two.rows && one.columns == two.columns && one.rows * one.columns > 0 &&
         one.cells.size() == two.cells.size() && one.colours.kind != ColourKind::categorical;
}

float changed(float a, float b, bool ratio) {
  if (!ratio) { return a - b; }
  return a > 0 && b > 0 ? a / b : kNaN;
}

Panel difference_panel(const Panel& a, const Panel& b) {
  Panel panel;
  panel.title = a.title;
  panel.x = a.x;
  panel.y = a.y;
  panel.square = a.square;
  panel.height_mm = a.height_mm;
  HeatMap map = a.heat_map[0];
  const bool ratio = map.colours.log;
  for (std::size_t i = 0; i < map.cells.size(); ++i) {
    map.cells[i] = changed(map.cells[i], b.heat_map[0].cells[i], ratio);
  }
  map.outlined.clear();
  map.outline_name.clear();
  map.number_cells = false;
  map.experts.clear();
  ColourScale colours;
  colours.kind = ColourKind::diverging;
  colours.label = map.colours.label + (ratio ? ": ratio" : ": difference");
  colours.unit = map.colours.unit;
  colours.log = ratio;
  colours.centre = ratio ? 1 : 0;
  colours.low_note = "less than the first";
  colours.high_note = "more than the first";
  colours.no_value = "not in both";
  map.colours = std::move(colours);
  panel.heat_map.push_back(std::move(map));
  if (!a.empty.empty() || !b.empty.empty()) { panel.empty = a.empty.empty() ? b.empty : a.empty; }
  return panel;
}

// The first table whose last column is the cells of the map, with the change in its place.
std::optional<Table> difference_table(const Figure& figure, const Panel& panel,
                                      const HeatMap& cells_of_a) {
  for (const Table& table : figure.tables) {
    const auto holds = [&](const Column& column) {
      const auto* values = std::get_if<std::vector<float>>(&column.values);
      return values != nullptr && values->size() == cells_of_a.cells.size();
    };
    const auto found = std::find_if(table.columns.begin(), table.columns.end(), holds);
    if (found == table.columns.end()) { continue; }
    Table result;
    result.rows = table.rows;
    result.columns.assign(table.columns.begin(), found);
    const HeatMap& map = panel.heat_map[0];
    result.columns.push_back(
        {found->name + (map.colours.log ? "_ratio" : "_difference"), map.cells});
    return result;
  }
  return {};
}

}  // namespace

std::optional<Figure> map_difference(const Figure& a, const Figure& b, const std::string& run_a,
                                     const std::string& run_b) {
  Figure figure;
  figure.id = a.id;
  figure.name = (a.name.empty() ? a.id : a.name) + "-difference";
  figure.title = a.title + ": what changes";
  figure.subtitle = run_a + " against " + run_b;
  figure.row = a.row;
  figure.expert = a.expert;
  for (std::size_t i = 0; i < std::min(a.panels.size(), b.panels.size()); ++i) {
    if (!comparable(a.panels[i], b.panels[i])) { continue; }
    figure.panels.push_back(difference_panel(a.panels[i], b.panels[i]));
    if (figure.tables.empty()) {
      auto table = difference_table(a, figure.panels.back(), a.panels[i].heat_map[0]);
      if (table) { figure.tables.push_back(std::move(*table)); }
    }
  }
  if (figure.panels.empty()) { return {}; }
  for (const auto* one : {&a, &b}) {
    for (const auto& [key, value] : one->provenance) {
      figure.provenance.emplace_back(key + (one == &a ? " 1" : " 2"), value);
    }
  }
  return figure;
}

}  // namespace kappascope
