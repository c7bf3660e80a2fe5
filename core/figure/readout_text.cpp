#include "core/figure/readout_text.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/figure/text.h"

namespace kappascope {
namespace {

// "Pass : layer" and "0 : 5" → "Pass 0, layer 5"
std::string interleaved(std::string names, std::string values) {
  std::string text;
  for (;;) {
    const std::size_t a = names.find(" : "), b = values.find(" : ");
    text += names.substr(0, a) + " " + values.substr(0, b);
    if (a == std::string::npos || b == std::string::npos) { return text; }
    text += ", ";
    names.erase(0, a + 3);
    values.erase(0, b + 3);
  }
}

// The part of a block inside the map.
struct Range {
  std::int64_t begin, end;
};

Range block_range(std::int64_t at, std::int64_t size, std::int64_t whole) {
  const std::int64_t begin = at / size * size;
  return {begin, std::min(whole, begin + size)};
}

std::string range_text(const FigureAxis& axis, Range range) {
  if (range.end - range.begin < 2) { return position_text(axis, range.begin); }
  const auto number = [&](std::int64_t position) {
    const bool by_name =
        axis.subject == AxisSubject::recorded_layer && position < std::ssize(axis.names);
    return by_name ? axis.names[position] : std::to_string(subject_at(axis, position));
  };
  const std::string numbers = number(range.begin) + " to " + number(range.end - 1);
  if (axis.subject == AxisSubject::token) { return "Tokens " + numbers; }
  if (axis.subject == AxisSubject::expert) { return "Experts " + numbers; }
  return axis.name + (axis.name == "Layer" ? "s " : " ") + numbers;
}

std::string of_cells(std::int64_t counted, std::int64_t cells) {
  return (counted < cells ? count_text(counted) + " of " : "") + count_text(cells) + " cells";
}

std::string most_frequent(const ColourScale& colours, const std::vector<float>& cells) {
  std::map<float, std::int64_t> counts;  // NaN is counted apart: it has no order
  std::int64_t missing = 0, most = 0;
  float best = 0;
  for (const float value : cells) {
    if (!std::isfinite(value)) {
      ++missing;
      continue;
    }
    ++counts[value < 0 ? -1.0F : value];
  }
  for (const auto& [value, count] : counts) {
    if (count <= most) { continue; }
    most = count;
    best = value;
  }
  const std::string text = missing >= most ? cell_text(colours, kNaN) : cell_text(colours, best);
  return named(colours.label, text + " (most frequent: " +
                                  of_cells(std::max(missing, most), std::ssize(cells)) + ")");
}

std::string mean_of(const ColourScale& colours, const std::vector<float>& cells) {
  double sum = 0;
  std::int64_t counted = 0, under = 0, missing = 0;
  for (const float value : cells) {
    missing += !std::isfinite(value);
    under += colours.log && value <= 0;
    if (!std::isfinite(value) || (colours.log && value <= 0)) { continue; }
    sum += colours.log ? std::log(static_cast<double>(value)) : static_cast<double>(value);
    ++counted;
  }
  const std::int64_t all = std::ssize(cells);
  if (counted == 0) {
    return named(colours.label, cell_text(colours, under > missing ? 0 : kNaN) + " (" +
                                    of_cells(std::max(under, missing), all) + ")");
  }
  const double mean = sum / static_cast<double>(counted);
  return named(colours.label, cell_text(colours, colours.log ? std::exp(mean) : mean) +
                                  (colours.log ? " (geometric mean of " : " (mean of ") +
                                  of_cells(counted, all) + ")");
}

}  // namespace

std::string named(const std::string& name, const std::string& value) {
  return name.empty() ? value : name + ": " + value;
}

std::int64_t subject_at(const FigureAxis& axis, std::int64_t position) {
  const bool listed = position >= 0 && position < std::ssize(axis.subjects);
  return listed ? axis.subjects[position] : position;
}

std::string position_text(const FigureAxis& axis, std::int64_t position) {
  const bool has_name = position >= 0 && position < std::ssize(axis.names);
  const std::string name = has_name ? axis.names[position] : "";
  const std::string number = std::to_string(subject_at(axis, position));
  if (axis.subject == AxisSubject::token) {
    return "Token " + number + (name.empty() || name == number ? "" : " '" + name + "'");
  }
  if (axis.subject == AxisSubject::expert) { return "Expert " + number; }
  return interleaved(axis.name, has_name ? name : number);
}

std::string cell_text(const ColourScale& colours, double value) {
  if (!std::isfinite(value)) { return colours.no_value.empty() ? "no value" : colours.no_value; }
  if (colours.kind == ColourKind::categorical) {
    const auto i = static_cast<std::size_t>(std::max(0.0, value));
    if (value < 0) { return colours.rest.empty() ? "other" : colours.rest; }
    return i < colours.names.size() ? colours.names[i] : value_text(value);
  }
  const std::string text = colour_value(colours, value);
  return colours.log && value <= 0 && !colours.under.empty() && colours.under != text
             ? text + " (" + colours.under + ")"
             : text;
}

std::vector<std::string> block_text(const Panel& panel, const HeatMap& map, std::int64_t row,
                                    std::int64_t column, CellBlock block) {
  const Range rows = block_range(row, block.rows, map.rows);
  const Range columns = block_range(column, block.columns, map.columns);
  std::vector<float> cells;
  for (std::int64_t r = rows.begin; r < rows.end; ++r) {
    for (std::int64_t c = columns.begin; c < columns.end; ++c) {
      cells.push_back(map.cells[r * map.columns + c]);
    }
  }
  if (cells.size() < 2) { return {}; }
  std::vector<std::string> lines = {range_text(panel.y, rows), range_text(panel.x, columns)};
  if (panel.y.subject != AxisSubject::recorded_layer) { std::swap(lines[0], lines[1]); }
  lines.push_back(map.colours.kind == ColourKind::categorical ? most_frequent(map.colours, cells)
                                                              : mean_of(map.colours, cells));
  lines.emplace_back("Here:");
  return lines;
}

std::string zoomed_out_note(const Panel& panel, CellBlock block) {
  if (panel.heat_map.empty() || block.rows * block.columns < 2) { return ""; }
  const auto cells = [](const FigureAxis& axis, std::int64_t count) {
    const char* name = axis.subject == AxisSubject::token            ? " tokens"
                       : axis.subject == AxisSubject::expert         ? " experts"
                       : axis.subject == AxisSubject::recorded_layer ? " layers"
                                                                     : " cells";
    return count_text(count) + name;
  };
  const bool named_values = panel.heat_map[0].colours.kind == ColourKind::categorical;
  std::string text = std::string("Zoomed out: ") + (named_values ? "most frequent" : "mean");
  if (block.columns > 1) { text += " of " + cells(panel.x, block.columns) + " a column"; }
  if (block.columns > 1 && block.rows > 1) { text += ","; }
  if (block.rows > 1) { text += " of " + cells(panel.y, block.rows) + " a row"; }
  return text + ".";
}

}  // namespace kappascope
