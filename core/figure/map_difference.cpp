#include "core/figure/map_difference.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/figure/caption.h"
#include "core/figure/side_by_side.h"

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
  map.texts.clear();
  map.experts.clear();
  ColourScale colours;
  colours.kind = ColourKind::diverging;
  colours.label = map.colours.label + (ratio ? ": ratio" : ": difference");
  if (!ratio) { colours.unit = map.colours.unit; }
  colours.log = ratio;
  colours.centre = ratio ? 1 : 0;
  colours.low_note = "less";
  colours.high_note = "more";
  colours.no_value = ratio ? "0 or no value in one of them" : "no value in one of them";
  map.colours = std::move(colours);
  panel.heat_map.push_back(std::move(map));
  if (!a.empty.empty() || !b.empty.empty()) { panel.empty = a.empty.empty() ? b.empty : a.empty; }
  return panel;
}

// A map of `a`, what it has become, and whether a table has it.
struct ChangedMap {
  const std::vector<float>* before;
  const HeatMap* after;
  bool in_table = false;
};

bool same_values(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// A table of `a` with what has become of the maps in the place of their cells and without other
// numbers; nothing where it has no map's cells. Its columns before them say where a cell is.
std::optional<Table> difference_table(const Table& table, std::vector<ChangedMap>& maps,
                                      const std::string& run_a, const std::string& run_b) {
  Table result;
  result.rows = table.rows;
  result.columns = {{"run", std::vector<std::string>{run_a}},
                    {"against", std::vector<std::string>{run_b}}};
  bool any = false;
  for (const Column& column : table.columns) {
    const auto* values = std::get_if<std::vector<float>>(&column.values);
    const auto map = std::find_if(maps.begin(), maps.end(), [&](const ChangedMap& one) {
      return !one.in_table && values != nullptr && same_values(*values, *one.before);
    });
    if (map != maps.end()) {
      map->in_table = any = true;
      const char* what = map->after->colours.log ? "_ratio" : "_difference";
      result.columns.push_back({column.name + what, map->after->cells});
    } else if (!any && column.name != "run") {
      result.columns.push_back(column);
    }
  }
  if (!any) { return {}; }
  return result;
}

}  // namespace

std::optional<Figure> map_difference(const Figure& a, const Figure& b, const std::string& run_a,
                                     const std::string& run_b) {
  Figure figure;
  figure.id = a.id;
  figure.name = (a.name.empty() ? a.id : a.name) + "-difference";
  figure.title = a.title + ": what changes";
  figure.subtitle = against_label(run_a, run_b);
  figure.row = a.row;
  figure.expert = a.expert;
  figure.part_of_layers = a.part_of_layers;
  std::vector<const Panel*> before;
  for (std::size_t i = 0; i < std::min(a.panels.size(), b.panels.size()); ++i) {
    if (!comparable(a.panels[i], b.panels[i])) { continue; }
    figure.panels.push_back(difference_panel(a.panels[i], b.panels[i]));
    before.push_back(&a.panels[i]);
  }
  if (figure.panels.empty()) { return {}; }
  std::vector<ChangedMap> maps;
  for (std::size_t i = 0; i < before.size(); ++i) {
    maps.push_back({&before[i]->heat_map[0].cells, &figure.panels[i].heat_map[0]});
  }
  for (const Table& table : a.tables) {
    auto changed = difference_table(table, maps, run_a, run_b);
    if (changed) { figure.tables.push_back(std::move(*changed)); }
  }
  figure.notes = notes_of_runs(std::array{&a, &b}, std::array{run_a, run_b});
  const auto ratio = [](const Panel& panel) { return panel.heat_map[0].colours.log; };
  const bool all = std::all_of(figure.panels.begin(), figure.panels.end(), ratio);
  const bool any = std::any_of(figure.panels.begin(), figure.panels.end(), ratio);
  figure.notes.insert(figure.notes.begin(),
                      "Each cell: " + run_a + (all ? " over " : " less ") + run_b +
                          (any && !all ? ", over it on a logarithmic scale." : "."));
  for (const auto* one : {&a, &b}) {
    for (const auto& [key, value] : one->provenance) {
      figure.provenance.emplace_back(key + (one == &a ? " 1" : " 2"), value);
    }
  }
  return figure;
}

}  // namespace kappascope
