#include <algorithm>
#include <cmath>

#include "app/gui/figure_marks.h"
#include "core/figure/text.h"

namespace kappascope::gui {
namespace {

// Cells in sight: rows, columns.
struct SeenCells {
  std::int64_t first_row, last_row, first_column, last_column;
  std::int64_t count() const {
    return std::max<std::int64_t>(0, last_row - first_row + 1) *
           std::max<std::int64_t>(0, last_column - first_column + 1);
  }
};

SeenCells seen_cells(const PlotPlace& place, const HeatMap& map) {
  return {std::max<std::int64_t>(0, std::llround(std::floor(place.y.low + 0.5))),
          std::min<std::int64_t>(map.rows - 1, std::llround(std::ceil(place.y.high - 0.5))),
          std::max<std::int64_t>(0, std::llround(std::floor(place.x.low + 0.5))),
          std::min<std::int64_t>(map.columns - 1, std::llround(std::ceil(place.x.high - 0.5)))};
}

ScreenBox cell_box(const PlotPlace& place, double row, double column) {
  return {place.x.pixel(column - 0.5), place.y.pixel(row + 0.5), place.x.pixel(column + 0.5),
          place.y.pixel(row - 0.5)};
}

void draw_one_cell(ImDrawList& list, const HeatMap& map, const ColourMap& colours, float value,
                   const ScreenBox& box) {
  if (!std::isfinite(value)) {
    list.AddLine({box.left, box.bottom}, {box.right, box.top}, IM_COL32(255, 255, 255, 200));
    return;
  }
  if (!map.number_cells || !(value >= 0)) { return; }
  const auto at = static_cast<std::size_t>(value);
  if (at >= map.colours.names.size()) { return; }
  const float size = figure_font().tick;
  const std::string name = plain_text(map.colours.names[at]);
  const float width = text_width(name, size);
  if (width + 0.5f * size > box.width() || 1.1f * size > box.height()) { return; }
  add_text(list, {(box.left + box.right - width) / 2, (box.top + box.bottom - size) / 2}, size,
           colour32(ink_on(colours.colour(value))), name);
}

// Position of subject `number` on the axis; −1: it is not there.
std::int64_t position_of(const FigureAxis& axis, AxisSubject subject, std::int64_t number) {
  if (axis.subject != subject || number < 0) { return -1; }
  if (axis.subjects.empty()) { return number; }
  const auto found = std::find(axis.subjects.begin(), axis.subjects.end(), number);
  return found == axis.subjects.end() ? -1 : found - axis.subjects.begin();
}

// A frame that is seen on light and dark cells.
void add_mark(ImDrawList& list, const ScreenBox& box, const Theme& theme) {
  const float width = std::max(1.5f, 0.13f * em());
  list.AddRect({box.left - width, box.top - width}, {box.right + width, box.bottom + width},
               IM_COL32(0, 0, 0, 110), 0, width);
  list.AddRect({box.left, box.top}, {box.right, box.bottom}, theme.chosen, 0, width);
}

}  // namespace

std::int64_t selected_position(const Figure& figure, const FigureAxis& axis,
                               const Subject& selection) {
  switch (axis.subject) {
    case AxisSubject::token:
      return position_of(axis, axis.subject, selection.token);
    case AxisSubject::recorded_layer:
      return position_of(axis, axis.subject, selection.row);
    case AxisSubject::expert:
      if (figure.row >= 0 && figure.row != selection.row) { return -1; }
      return position_of(axis, axis.subject, selection.expert);
    default:
      return -1;
  }
}

void draw_cell_marks(ImDrawList& list, const PlotPlace& place, const HeatMap& map,
                     const ColourMap& colours) {
  const double width = place.x.position_pixels(), height = place.y.position_pixels();
  if (std::min(width, height) < 3) {
    return;  // too small to carry a mark
  }
  const SeenCells seen = seen_cells(place, map);
  for (std::int64_t row = seen.first_row; row <= seen.last_row; ++row) {
    for (std::int64_t column = seen.first_column; column <= seen.last_column; ++column) {
      const float value = map.cells[row * map.columns + column];
      if (std::isfinite(value) && !map.number_cells) { continue; }
      draw_one_cell(list, map, colours, value,
                    cell_box(place, static_cast<double>(row), static_cast<double>(column)));
    }
  }
  const float line = std::clamp(static_cast<float>(std::min(width, height)) / 8, 1.0f, 2.0f);
  for (const std::uint32_t at : map.outlined) {
    const std::int64_t row = at / map.columns, column = at % map.columns;
    if (row < seen.first_row || row > seen.last_row || column < seen.first_column ||
        column > seen.last_column) {
      continue;
    }
    const ScreenBox box = cell_box(place, static_cast<double>(row), static_cast<double>(column));
    list.AddRect({box.left + line / 2, box.top + line / 2},
                 {box.right - line / 2, box.bottom - line / 2}, colour32(kInk), 0, line);
  }
}

void draw_selection(ImDrawList& list, const Figure& figure, const PlotPlace& place,
                    const Subject& selection, const Theme& theme) {
  const Panel& panel = *place.panel;
  const std::int64_t column = selected_position(figure, panel.x, selection);
  const std::int64_t row = selected_position(figure, panel.y, selection);
  const auto frame = [&](const FigureAxis& axis, const AxisView& view, std::int64_t at,
                         float& begin, float& end) {
    if (at < 0) { return; }
    const auto centre = static_cast<double>(at);
    const double half = axis.scale == Scale::category ? 0.5 : 0;
    begin = view.pixel(centre - half);
    end = view.pixel(centre + half);
    if (begin > end) { std::swap(begin, end); }
  };
  // Along one axis a pair of hairlines (a pale band where there are no cells); where both are
  // selected, the cell.
  ScreenBox box = place.box;
  frame(panel.x, place.x, column, box.left, box.right);
  frame(panel.y, place.y, row, box.top, box.bottom);
  const auto faded = [&](std::uint32_t alpha) {
    return (theme.chosen & ~IM_COL32_A_MASK) | (alpha << IM_COL32_A_SHIFT);
  };
  const float width = std::max(1.0f, 0.09f * em());
  const bool cells = !panel.heat_map.empty();
  if (!cells && (column >= 0 || row >= 0) && box.width() > width && box.height() > width) {
    return list.AddRectFilled({box.left, box.top}, {box.right, box.bottom}, faded(40));
  }
  if (column >= 0) {
    for (const float x : {box.left, box.right}) {
      list.AddLine({x, place.box.top}, {x, place.box.bottom}, faded(150), width);
    }
  }
  if (row >= 0) {
    for (const float y : {box.top, box.bottom}) {
      list.AddLine({place.box.left, y}, {place.box.right, y}, faded(150), width);
    }
  }
  if (column >= 0 && row >= 0) { add_mark(list, box, theme); }
}

void draw_reason(ImDrawList& list, const Panel& panel, const ScreenBox& box, const Theme& theme) {
  const std::string why =
      plain_text(panel.empty.empty() ? "nothing to show: no value" : panel.empty);
  const float size = figure_font().name, room = std::max(em(), box.width() - 2 * em());
  ImFont* font = ImGui::GetFont();
  const ImVec2 extent = font->CalcTextSizeA(size, room, room, why.c_str());
  const ImVec2 at((box.left + box.right - extent.x) / 2, (box.top + box.bottom - extent.y) / 2);
  list.AddText(font, size, at, theme.quiet_text, why.c_str(), nullptr, room);
}

}  // namespace kappascope::gui
