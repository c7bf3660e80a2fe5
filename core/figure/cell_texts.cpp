// What is written into large cells of a heat map.
#include <cmath>

#include "core/figure/cells.h"
#include "core/figure/readout.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

constexpr std::int64_t kMostNames = 2000;  // that are looked at

// The text of a cell at its left end, cut where it is longer, and the value at its right end where
// that leaves the text most of the room, or all that it needs.
void draw_cell_text(Painter& painter, const CellField& field, std::int64_t at, const Box& box,
                    const TextLook& plain) {
  const HeatMap& map = field.map;
  const double gap = 0.35 * plain.size;
  double room = box.width - 2 * gap;
  const double base = box.y + box.height / 2 + 0.365 * plain.size;
  const auto put = [&](const std::string& text, double x, Anchor anchor) {
    TextLook look = plain;
    look.anchor = anchor;
    const Box bounds = painter.text_bounds(text, {x, base}, look);
    if (text.empty() || !field.plot.holds(bounds)) { return; }
    painter.add_as_is(SceneText{text, {x, base}, look, bounds});
  };
  const std::string value = colour_value(map.colours, map.cells[at]);
  const std::string whole = plain_text(map.texts[at]);
  const double width = painter.meter().width(value, plain.size) + 1.5 * gap;
  if (width < 0.45 * room || painter.meter().width(whole, plain.size) + width <= room) {
    put(value, box.right() - gap, Anchor::end);
    room -= width;
  }
  const std::string text = painter.meter().elide(whole, room, plain.size);
  // What is left of it must tell more than that there is a text.
  if (text == whole || count_code_points(text) > 2) { put(text, box.x + gap, Anchor::start); }
}

void draw_cell_texts(Painter& painter, const CellField& field, const ColourMap& colours,
                     double size) {
  const HeatMap& map = field.map;
  for (std::int64_t row = field.first_row; row < field.end_row; ++row) {
    for (std::int64_t column = field.first_column; column < field.end_column; ++column) {
      const std::int64_t at = row * map.columns + column;
      if (!std::isfinite(map.cells[at])) { continue; }
      TextLook look{size};
      look.colour = ink_on(colours.colour(map.cells[at]));
      draw_cell_text(painter, field, at, field.box(row, column), look);
    }
  }
}

}  // namespace

void draw_cell_names(Painter& painter, const CellField& field, const ColourMap& colours,
                     double size) {
  const HeatMap& map = field.map;
  const Box one = field.box(0, 0);
  const std::int64_t seen =
      (field.end_row - field.first_row) * (field.end_column - field.first_column);
  if (seen > kMostNames || 1.1 * size >= one.height) { return; }
  if (!map.texts.empty()) { return draw_cell_texts(painter, field, colours, size); }
  if (!map.number_cells) { return; }
  for (std::int64_t row = field.first_row; row < field.end_row; ++row) {
    for (std::int64_t column = field.first_column; column < field.end_column; ++column) {
      const float value = map.cells[row * map.columns + column];
      if (!(value >= 0) || value >= static_cast<float>(map.colours.names.size())) { continue; }
      const std::string name = plain_text(map.colours.names[value]);
      const Box box = field.box(row, column);
      TextLook look{size, Anchor::middle};
      look.colour = ink_on(colours.colour(value));
      const Point at{box.x + box.width / 2, box.y + box.height / 2 + 0.365 * size};
      const Box bounds = painter.text_bounds(name, at, look);
      if (name.empty() || bounds.width + 1 >= box.width || !field.plot.holds(bounds)) { continue; }
      painter.add_as_is(SceneText{name, at, look, bounds});
    }
  }
}

}  // namespace kappascope
