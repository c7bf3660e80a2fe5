#include "core/figure/layer_range.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"
#include "core/figure/cells.h"
#include "core/figure/token_range.h"

namespace kappascope {
namespace {

// Which rows of the trace stay, and where each is then.
class KeptRows {
 public:
  KeptRows(const std::vector<std::int64_t>& layers, std::span<const std::int32_t> layer_index)
      : layers_(layers) {
    std::string recorded;
    for (std::size_t row = 0; row < layer_index.size(); ++row) {
      const bool kept = has_layer(layer_index[row]);
      place_.push_back(kept ? static_cast<std::int64_t>(rows_.size()) : -1);
      if (kept) { rows_.push_back(row); }
      recorded += (row ? ", " : "") + std::to_string(layer_index[row]);
    }
    require(!rows_.empty() || layer_index.empty(), ExitCode::usage, {},
            "--layers: none of these was recorded; expected some of ", recorded);
  }

  const std::vector<std::size_t>& rows() const { return rows_; }
  bool has_layer(std::int64_t layer) const {
    return std::binary_search(layers_.begin(), layers_.end(), layer);
  }
  bool has(std::int64_t row) const {
    return row >= 0 && row < std::ssize(place_) && place_[row] >= 0;
  }
  // Where the position is then; NaN: nowhere. A half belongs to the row below it.
  double moved(double position) const {
    const double row = std::ceil(position - 0.5);
    if (!(row >= 0) || row >= static_cast<double>(place_.size())) { return kNaN; }
    const std::int64_t place = place_[row];
    return place < 0 ? double(kNaN) : static_cast<double>(place) + position - row;
  }

 private:
  const std::vector<std::int64_t>& layers_;
  std::vector<std::size_t> rows_;    // that stay
  std::vector<std::int64_t> place_;  // [M] −1: goes
};

template <typename T>
void keep(std::vector<T>& list, const std::vector<std::size_t>& places) {
  std::vector<T> kept;
  kept.reserve(places.size());
  for (const std::size_t at : places) {
    if (at < list.size()) { kept.push_back(std::move(list[at])); }
  }
  list = std::move(kept);
}

// Elements of lists that belong together, by where their position is then.
template <typename... Lists>
void keep_placed(const KeptRows& kept, std::vector<double>& position, Lists&... lists) {
  std::vector<std::size_t> places;
  std::vector<double> moved;
  for (std::size_t i = 0; i < position.size(); ++i) {
    const double at = kept.moved(position[i]);
    if (std::isnan(at)) { continue; }
    places.push_back(i);
    moved.push_back(at);
  }
  (keep(lists, places), ...);
  position = std::move(moved);
}

void keep_axis(FigureAxis& axis, const KeptRows& kept) {
  if (axis.subjects.empty()) {
    for (std::size_t i = 0; i < axis.names.size(); ++i) {
      axis.subjects.push_back(static_cast<std::int64_t>(i));
    }
  }
  keep(axis.names, kept.rows());
  keep(axis.subjects, kept.rows());
  axis.number_when_crowded = false;  // they may not follow each other
}

void keep_map_rows(HeatMap& map, const KeptRows& kept) {
  if (map.colours.kind != ColourKind::categorical) {  // a colour means the same as in the whole
    const ColourMap whole(map.colours, map.cells);
    if (whole.any_value()) {
      map.colours.low = whole.low();
      map.colours.high = whole.high();
    }
  }
  std::vector<float> cells;
  std::vector<std::int16_t> experts;
  std::vector<std::string> texts;
  for (const std::size_t row : kept.rows()) {
    const auto begin = static_cast<std::ptrdiff_t>(row) * map.columns;
    const auto take = [&](const auto& from, auto& to) {
      if (from.empty()) { return; }
      to.insert(to.end(), from.begin() + begin, from.begin() + begin + map.columns);
    };
    take(map.cells, cells);
    take(map.experts, experts);
    take(map.texts, texts);
  }
  std::vector<std::uint32_t> outlined;
  for (const std::uint32_t at : map.outlined) {
    const double row = kept.moved(static_cast<double>(at / map.columns));
    if (std::isnan(row)) { continue; }
    outlined.push_back(static_cast<std::uint32_t>(row) * static_cast<std::uint32_t>(map.columns) +
                       static_cast<std::uint32_t>(at % map.columns));
  }
  map.rows = std::ssize(kept.rows());
  map.cells = std::move(cells);
  map.experts = std::move(experts);
  map.texts = std::move(texts);
  map.outlined = std::move(outlined);
}

void keep_along_x(Panel& panel, const KeptRows& kept) {
  keep_axis(panel.x, kept);
  for (StackedBars& stack : panel.stacks) {
    const std::vector<double> position = stack.position;
    for (auto& values : stack.values) {
      stack.position = position;
      keep_placed(kept, stack.position, values);
    }
  }
  for (Bars& bars : panel.bars) {
    if (!bars.horizontal) { keep_placed(kept, bars.position, bars.value); }
  }
  std::erase_if(panel.violins, [&](Violin& violin) {
    violin.position = kept.moved(violin.position);
    return std::isnan(violin.position);
  });
  for (Line& line : panel.lines) { keep_placed(kept, line.x, line.y, line.low, line.high); }
  for (Points& points : panel.points) {
    keep_placed(kept, points.x, points.y, points.value, points.subjects);
  }
}

void keep_along_y(Panel& panel, const KeptRows& kept) {
  keep_axis(panel.y, kept);
  for (HeatMap& map : panel.heat_map) { keep_map_rows(map, kept); }
  for (Bars& bars : panel.bars) {
    if (bars.horizontal) { keep_placed(kept, bars.position, bars.value); }
  }
}

// Marks that are of a layer each without an axis of layers. False: there are none.
bool keep_marks(Panel& panel, const KeptRows& kept) {
  bool any = false;
  for (Points& points : panel.points) {
    const bool of_rows = std::any_of(points.subjects.begin(), points.subjects.end(),
                                     [](const Subject& subject) { return subject.row >= 0; });
    if (!of_rows) { continue; }
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < points.subjects.size(); ++i) {
      if (kept.has(points.subjects[i].row)) { places.push_back(i); }
    }
    keep(points.x, places);
    keep(points.y, places);
    keep(points.value, places);
    keep(points.subjects, places);
    any = true;
  }
  for (Line& line : panel.lines) {
    if (line.layers.empty()) { continue; }
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < line.layers.size(); ++i) {
      if (kept.has_layer(line.layers[i])) { places.push_back(i); }
    }
    for (auto* list : {&line.x, &line.y, &line.low, &line.high}) { keep(*list, places); }
    keep(line.layers, places);
    panel.x.low = panel.x.high = kNaN;
    any = true;
  }
  return any;
}

}  // namespace

bool keep_layers(Figure& figure, const std::vector<std::int64_t>& layers,
                 std::span<const std::int32_t> layer_index) {
  const KeptRows kept(layers, layer_index);
  bool any = false;
  for (Panel& panel : figure.panels) {
    const bool x = panel.x.subject == AxisSubject::recorded_layer;
    const bool y = panel.y.subject == AxisSubject::recorded_layer;
    if (x) { keep_along_x(panel, kept); }
    if (y) { keep_along_y(panel, kept); }
    const bool marks = !x && !y && keep_marks(panel, kept);
    any = any || x || y || marks;
  }
  for (Table& table : figure.tables) {
    if (!any) { break; }
    keep_rows(table, "layer", [&](std::int64_t layer) { return kept.has_layer(layer); });
  }
  return any;
}

std::string layers_word(const std::vector<std::int64_t>& layers) {
  std::string word;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::size_t first = i;
    while (i + 1 < layers.size() && layers[i + 1] == layers[i] + 1) { ++i; }
    word += (word.empty() ? "" : "_") + std::to_string(layers[first]);
    if (i > first) { word += "-" + std::to_string(layers[i]); }
  }
  return word;
}

}  // namespace kappascope
