#include "core/figure/token_range.h"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "core/error.h"
#include "core/figure/cells.h"

namespace kappascope {
namespace {

using Positions = std::pair<std::int64_t, std::int64_t>;  // begin, end

std::int64_t number_at(const FigureAxis& axis, std::int64_t position) {
  return axis.subjects.empty() ? position : axis.subjects[position];
}

Positions positions_in(const FigureAxis& axis, TokenRange range, const std::string& file) {
  const auto count = static_cast<std::int64_t>(axis.names.size());
  std::int64_t begin = 0, end = count;
  require(count > 0, ExitCode::usage, {file}, "has no tokens to choose from");
  while (begin < end && number_at(axis, begin) < range.first) { ++begin; }
  while (end > begin && number_at(axis, end - 1) > range.last) { --end; }
  require(begin < end, ExitCode::usage, {file}, "no token is in ", range.first, "-", range.last,
          "; expected a range within ", number_at(axis, 0), "-", number_at(axis, count - 1));
  return {begin, end};
}

void cut_axis(FigureAxis& axis, Positions keep) {
  const auto [begin, end] = keep;
  if (axis.subjects.empty()) {
    axis.subjects.resize(axis.names.size());
    std::iota(axis.subjects.begin(), axis.subjects.end(), std::int64_t{0});
  }
  axis.subjects = {axis.subjects.begin() + begin, axis.subjects.begin() + end};
  axis.names = {axis.names.begin() + begin, axis.names.begin() + end};
  axis.first_number += begin;
}

template <typename T>
void cut_columns(std::vector<T>& cells, std::int64_t rows, std::int64_t columns, Positions keep) {
  if (cells.empty()) { return; }
  std::vector<T> kept;
  kept.reserve(static_cast<std::size_t>(rows * (keep.second - keep.first)));
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto begin = cells.begin() + row * columns;
    kept.insert(kept.end(), begin + keep.first, begin + keep.second);
  }
  cells = std::move(kept);
}

void cut_map(HeatMap& map, Positions keep) {
  if (map.colours.kind != ColourKind::categorical) {  // a colour means the same as in the whole
    const ColourMap whole(map.colours, map.cells);
    if (whole.any_value()) {
      map.colours.low = whole.low();
      map.colours.high = whole.high();
    }
  }
  cut_columns(map.cells, map.rows, map.columns, keep);
  cut_columns(map.experts, map.rows, map.columns, keep);
  cut_columns(map.texts, map.rows, map.columns, keep);
  const std::int64_t width = keep.second - keep.first;
  std::vector<std::uint32_t> outlined;
  for (const std::uint32_t at : map.outlined) {
    const std::int64_t row = at / map.columns, column = at % map.columns;
    if (column >= keep.first && column < keep.second) {
      outlined.push_back(static_cast<std::uint32_t>(row * width + column - keep.first));
    }
  }
  map.outlined = std::move(outlined);
  map.columns = width;
}

// Keeps of lists that belong together the elements at kept positions, now `shift` less.
template <typename... Lists>
void cut_marks(std::vector<double>& position, Positions keep, double shift, Lists&... lists) {
  const std::vector<double> all = std::move(position);
  const auto kept = [&](double at) {
    return at > static_cast<double>(keep.first) - 0.5 &&
           at < static_cast<double>(keep.second) - 0.5;
  };
  const auto cut = [&](auto& list) {
    if (list.size() != all.size()) {
      return;  // an empty one stays so
    }
    std::size_t to = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (kept(all[i])) { list[to++] = list[i]; }
    }
    list.resize(to);
  };
  (cut(lists), ...);
  position.clear();
  for (const double at : all) {
    if (kept(at)) { position.push_back(at - shift); }
  }
}

// Positions of a category axis are counted anew; numbers along another one stay.
void cut_panel(Panel& panel, TokenRange range, const std::string& file) {
  const Positions keep = positions_in(panel.x, range, file);
  const bool category = panel.x.scale == Scale::category;
  const double shift = category ? static_cast<double>(keep.first) : 0;
  if (category) {
    cut_axis(panel.x, keep);
  } else {
    panel.x.low = static_cast<double>(keep.first);
    panel.x.high = static_cast<double>(std::max(keep.second - 1, keep.first + 1));
  }
  for (HeatMap& map : panel.heat_map) { cut_map(map, keep); }
  for (Bars& bars : panel.bars) {
    if (!bars.horizontal) { cut_marks(bars.position, keep, shift, bars.value); }
  }
  for (Points& points : panel.points) {
    cut_marks(points.x, keep, shift, points.y, points.value, points.subjects);
  }
  for (Line& line : panel.lines) { cut_marks(line.x, keep, shift, line.y, line.low, line.high); }
}

}  // namespace

TokenRange token_range(const std::string& text) {
  TokenRange range;
  const char* const end = text.data() + text.size();
  auto read = std::from_chars(text.data(), end, range.first);
  bool good = read.ec == std::errc() && range.first >= 0;
  range.last = range.first;
  if (good && read.ptr != end) {
    good = *read.ptr == '-' || *read.ptr == ':';
    read = std::from_chars(read.ptr + 1, end, range.last);
    good = good && read.ec == std::errc() && range.last >= range.first;
  }
  require(good && read.ptr == end, ExitCode::usage, {},
          "a range of tokens: expected FIRST:LAST such as 12:87, found '", text, "'");
  return range;
}

bool has_token_axis(const Panel& panel) {
  return panel.x.subject == AxisSubject::token || panel.y.subject == AxisSubject::token;
}

bool has_token_axis(const Figure& figure) {
  return std::any_of(figure.panels.begin(), figure.panels.end(),
                     [](const Panel& panel) { return has_token_axis(panel); });
}

void keep_tokens(Figure& figure, TokenRange range, const std::string& file) {
  if (range.all()) { return; }
  for (Panel& panel : figure.panels) {
    if (panel.x.subject == AxisSubject::token) { cut_panel(panel, range, file); }
  }
  for (Table& table : figure.tables) {
    keep_rows(table, "token",
              [&](std::int64_t token) { return token >= range.first && token <= range.last; });
  }
}

bool keep_rows(Table& table, std::string_view column,
               const std::function<bool(std::int64_t)>& kept) {
  const std::vector<std::int64_t>* numbers = nullptr;
  std::int64_t repeat = 1;
  for (const Column& one : table.columns) {
    if (one.name != column) { continue; }
    numbers = std::get_if<std::vector<std::int64_t>>(&one.values);
    repeat = one.repeat;
  }
  if (!numbers || numbers->empty()) { return false; }
  const auto at = [](std::int64_t row, std::int64_t every, std::size_t size) {
    return static_cast<std::size_t>(row / every) % size;
  };
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < table.rows; ++row) {
    if (kept((*numbers)[at(row, repeat, numbers->size())])) { rows.push_back(row); }
  }
  for (Column& one : table.columns) {
    std::visit(
        [&](auto& values) {
          std::decay_t<decltype(values)> left;
          left.reserve(rows.size());
          for (const std::int64_t row : rows) {
            left.push_back(values[at(row, one.repeat, values.size())]);
          }
          values = std::move(left);
        },
        one.values);
    one.repeat = 1;
  }
  table.rows = static_cast<std::int64_t>(rows.size());
  return true;
}

}  // namespace kappascope
