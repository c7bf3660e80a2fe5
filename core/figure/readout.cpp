#include "core/figure/readout.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "core/error.h"
#include "core/figure/parts.h"
#include "core/figure/readout_text.h"
#include "core/figure/text.h"

namespace kappascope {
namespace {

constexpr double kViolinHalf = 0.42;  // of a position, as drawn

// Counts of an axis of whole numbers have no decimals.
std::string axis_value(const FigureAxis& axis, double value) {
  return axis.integer ? whole_text(value, axis.unit) : value_text(value, axis.unit);
}

std::string place_text(const FigureAxis& axis, double value) {
  if (axis.scale == Scale::category || axis.subject != AxisSubject::none) {
    return position_text(axis, std::llround(value));
  }
  return named(axis.name, axis_value(axis, value));
}

double finite_or(double value, double otherwise) {
  return std::isfinite(value) ? value : otherwise;
}

class Reader {
 public:
  Reader(const Figure& figure, const Panel& panel, double x, double y, double reach_x,
         double reach_y, CellBlock block)
      : figure_(figure),
        panel_(panel),
        x_(x),
        y_(y),
        reach_x_(reach_x),
        reach_y_(reach_y),
        block_(block) {}

  // From the front to the back.
  std::optional<Readout> run() {
    if (!(std::isfinite(x_) && std::isfinite(y_))) { return {}; }
    result_.subject.row = figure_.row;
    result_.subject.expert = figure_.expert;
    if (line() || points() || violins() || bars() || stacks() || bins() || cells() || reference()) {
      return std::move(result_);
    }
    return {};
  }

 private:
  bool log_x() const { return panel_.x.scale == Scale::log; }
  bool log_y() const { return panel_.y.scale == Scale::log; }

  // From the place in question, in reaches; NaN where a logarithm has no value.
  static double apart(double value, double from, double reach, bool log) {
    return (log ? std::log(value / from) : value - from) / reach;
  }
  double apart_x(double value) const { return apart(value, x_, reach_x_, log_x()); }
  double apart_y(double value) const { return apart(value, y_, reach_y_, log_y()); }

  // Ends of what is within reach of the place, as values.
  static std::pair<double, double> span(double from, double reach, bool log) {
    if (log) { return {from * std::exp(-reach), from * std::exp(reach)}; }
    return {from - reach, from + reach};
  }

  bool within_y(double low, double high) const {
    const auto [first, last] = span(y_, reach_y_, log_y());
    return last >= std::min(low, high) && first <= std::max(low, high);
  }
  bool within_x(double low, double high) const {
    const auto [first, last] = span(x_, reach_x_, log_x());
    return last >= std::min(low, high) && first <= std::max(low, high);
  }

  void add(std::string text) { result_.lines.push_back(std::move(text)); }
  void add_place(const FigureAxis& axis, double value) {
    add(place_text(axis, value));
    if (axis.subject == AxisSubject::none) { return; }
    part_of(result_.subject, axis.subject) = std::int32_t(subject_at(axis, std::llround(value)));
  }
  void add_y(double value) { add_place(panel_.y, value); }

  // Square of the distance, in reaches, to the piece between samples i and i + 1; samples that are
  // not finite draw nothing.
  double to_piece(const Line& line, std::size_t i) const {
    const double ax = apart_x(line.x[i]), ay = apart_y(line.y[i]);
    if (i + 1 == line.x.size()) { return ax * ax + ay * ay; }
    const double bx = apart_x(line.x[i + 1]), by = apart_y(line.y[i + 1]);
    if (!std::isfinite(ax + ay)) { return bx * bx + by * by; }
    if (!std::isfinite(bx + by)) { return ax * ax + ay * ay; }
    const double dx = bx - ax, dy = by - ay, length = dx * dx + dy * dy;
    const double t = length > 0 ? std::clamp(-(ax * dx + ay * dy) / length, 0.0, 1.0) : 0;
    return (ax + t * dx) * (ax + t * dx) + (ay + t * dy) * (ay + t * dy);
  }

  bool line() {
    double least = 1;
    const Line* best = nullptr;
    std::size_t piece = 0;
    const auto [first, last] = span(x_, reach_x_, log_x());
    for (const Line& line : panel_.lines) {
      const auto begin = std::lower_bound(line.x.begin(), line.x.end(), first);
      std::size_t i = static_cast<std::size_t>(begin - line.x.begin());
      for (i -= i > 0 ? 1 : 0; i < line.x.size() && line.x[i] <= last; ++i) {
        const double distance = to_piece(line, i);
        if (!(distance < least)) { continue; }
        least = distance;
        best = &line;
        piece = i;
      }
    }
    if (best == nullptr) { return false; }
    const auto off = [&](std::size_t i) {
      if (i >= best->x.size() || !std::isfinite(apart_y(best->y[i]))) { return 1e300; }
      return std::abs(apart_x(best->x[i]));
    };
    add_sample(*best, off(piece + 1) < off(piece) ? piece + 1 : piece);
    return true;
  }

  void add_sample(const Line& line, std::size_t i) {
    if (!line.name.empty()) { add(line.name); }
    add_place(panel_.x, line.x[i]);
    add_y(line.y[i]);
    if (line.low.empty() || !std::isfinite(line.low[i] + line.high[i])) { return; }
    add("Band: " + value_text(line.low[i]) + " to " + value_text(line.high[i], panel_.y.unit));
  }

  bool points() {
    double least = 1;
    const Points* best = nullptr;
    std::size_t at = 0;
    const auto [x0, x1] = span(x_, reach_x_, log_x());
    const auto [y0, y1] = span(y_, reach_y_, log_y());
    for (const Points& points : panel_.points) {
      for (std::size_t i = 0; i < points.x.size(); ++i) {
        const double x = points.x[i], y = points.y[i];
        if (!(x >= x0 && x <= x1 && y >= y0 && y <= y1)) { continue; }
        if (!points.value.empty() && !std::isfinite(points.value[i])) { continue; }
        const double dx = apart_x(x), dy = apart_y(y), distance = dx * dx + dy * dy;
        if (distance > least) {
          continue;  // of equals the last, which is drawn over the others
        }
        least = distance;
        best = &points;
        at = i;
      }
    }
    if (best == nullptr) { return false; }
    if (!best->name.empty()) { add(best->name); }
    if (!best->subjects.empty()) { add_subject(best->subjects[at]); }
    add_place(panel_.x, best->x[at]);
    add_y(best->y[at]);
    if (!best->value.empty()) {
      add(named(best->colours.label, colour_value(best->colours, best->value[at])));
    }
    return true;
  }

  void add_subject(const Subject& point) {
    const std::pair<AxisSubject, std::int64_t> subjects[] = {
        {AxisSubject::recorded_layer, point.row},
        {AxisSubject::token, point.token},
        {AxisSubject::expert, point.expert}};
    for (const auto& [subject, number] : subjects) {
      if (number < 0) { continue; }
      part_of(result_.subject, subject) = std::int32_t(number);
      if (const FigureAxis* axis = axis_of(subject)) {
        add(position_text(*axis, number));
      } else if (subject != AxisSubject::recorded_layer) {
        add((subject == AxisSubject::token ? "Token " : "Expert ") + std::to_string(number));
      }
    }
  }

  // Any axis of the figure on which every such subject has its own number as position.
  const FigureAxis* axis_of(AxisSubject subject) const {
    for (const Panel& panel : figure_.panels) {
      for (const FigureAxis* axis : {&panel.x, &panel.y}) {
        if (axis->subject == subject && axis->subjects.empty()) { return axis; }
      }
    }
    return nullptr;
  }

  bool violins() {
    for (const Violin& violin : panel_.violins) {
      if (!(std::abs(violin.position - x_) <= kViolinHalf)) { continue; }
      const double first = violin.value.empty() ? violin.low : violin.value.front();
      const double last = violin.value.empty() ? violin.high : violin.value.back();
      if (!std::isfinite(first + last) || !within_y(first, last)) { continue; }
      add_place(panel_.x, violin.position);
      const std::pair<const char*, double> quantiles[] = {{"5 %", violin.low},
                                                          {"25 %", violin.quarter},
                                                          {"median", violin.middle},
                                                          {"75 %", violin.three_quarters},
                                                          {"95 %", violin.high}};
      for (const auto& [name, value] : quantiles) {
        if (!std::isfinite(value)) { continue; }
        add(named(panel_.y.name + ", " + name, value_text(value, panel_.y.unit)));
      }
      return true;
    }
    return false;
  }

  bool bars() {
    for (const Bars& bars : panel_.bars) {
      const double along = bars.horizontal ? y_ : x_;
      for (std::size_t i = 0; i < bars.position.size(); ++i) {
        if (!(std::abs(bars.position[i] - along) <= bars.width / 2)) { continue; }
        const double value = bars.value[i];
        if (!std::isfinite(value)) { continue; }
        if (!(bars.horizontal ? within_x(0, value) : within_y(0, value))) { continue; }
        if (!bars.name.empty()) { add(bars.name); }
        add_place(bars.horizontal ? panel_.y : panel_.x, bars.position[i]);
        add_place(bars.horizontal ? panel_.x : panel_.y, value);
        return true;
      }
    }
    return false;
  }

  bool stacks() {
    for (const StackedBars& stack : panel_.stacks) {
      for (std::size_t i = 0; i < stack.position.size(); ++i) {
        if (!(std::abs(stack.position[i] - x_) <= stack.width / 2)) { continue; }
        double sum = 0;
        for (std::size_t part = 0; part < stack.values.size(); ++part) {
          const double value = stack.values[part][i];
          if (!(value > 0)) { continue; }
          const bool hit = y_ >= sum && y_ <= sum + value;
          sum += value;
          if (!hit) { continue; }
          add_place(panel_.x, stack.position[i]);
          add(stack.names[part]);
          add_y(value);
          return true;
        }
      }
    }
    return false;
  }

  bool bins() {
    for (const Bins& bins : panel_.bins) {
      const auto after = std::upper_bound(bins.edges.begin(), bins.edges.end(), x_);
      const auto i = after - bins.edges.begin() - 1;
      if (i < 0 || i >= std::ssize(bins.counts)) { continue; }
      const auto at = static_cast<std::size_t>(i);
      if (!within_y(0, finite_or(bins.counts[at], 0))) { continue; }
      if (!bins.name.empty()) { add(bins.name); }
      add(named(panel_.x.name, value_text(bins.edges[at]) + " to " +
                                   value_text(bins.edges[at + 1], panel_.x.unit)));
      add(named(panel_.y.name, whole_text(bins.counts[at], panel_.y.unit)));
      return true;
    }
    return false;
  }

  bool cells() {
    for (const HeatMap& map : panel_.heat_map) {
      if (!(x_ >= -0.5 && y_ >= -0.5)) { continue; }
      const double column = std::floor(x_ + 0.5), row = std::floor(y_ + 0.5);
      if (!(row < static_cast<double>(map.rows) && column < static_cast<double>(map.columns))) {
        continue;
      }
      if (block_.rows * block_.columns > 1) {
        for (std::string& line :
             block_text(panel_, map, std::int64_t(row), std::int64_t(column), block_)) {
          add(std::move(line));
        }
      }
      // Layers before what is in them. Where both axes are of one kind the row is selected.
      const bool rows_first = panel_.y.subject == AxisSubject::recorded_layer;
      add_place(rows_first ? panel_.y : panel_.x, rows_first ? row : column);
      add_place(rows_first ? panel_.x : panel_.y, rows_first ? column : row);
      const auto at = static_cast<std::size_t>(row) * static_cast<std::size_t>(map.columns) +
                      static_cast<std::size_t>(column);
      add_cell(map, at);
      return true;
    }
    return false;
  }

  void add_cell(const HeatMap& map, std::size_t at) {
    if (!map.texts.empty() && !map.texts[at].empty()) { add("'" + map.texts[at] + "'"); }
    if (!map.experts.empty() && map.experts[at] >= 0) {
      result_.subject.expert = map.experts[at];
      const bool rest = map.cells[at] < 0 && !map.colours.rest.empty();
      add("Expert " + std::to_string(map.experts[at]) +
          (rest ? " (" + map.colours.rest + ")" : ""));
    } else {
      add(named(map.colours.label, cell_text(map.colours, map.cells[at])));
    }
    if (map.outlined.empty() || map.outline_name.empty()) { return; }
    const auto cell = static_cast<std::uint32_t>(at);
    if (std::find(map.outlined.begin(), map.outlined.end(), cell) != map.outlined.end()) {
      add(map.outline_name);
    }
  }

  bool reference() {
    for (const ReferenceLine& line : panel_.references) {
      const double off = line.vertical ? apart_x(line.value) : apart_y(line.value);
      if (!(std::abs(off) <= 1)) { continue; }
      const FigureAxis& axis = line.vertical ? panel_.x : panel_.y;
      add(place_text(axis, line.value) + (line.label.empty() ? "" : " (" + line.label + ")"));
      return true;
    }
    return false;
  }

  const Figure& figure_;
  const Panel& panel_;
  double x_, y_, reach_x_, reach_y_;
  CellBlock block_;
  Readout result_;
};

}  // namespace

std::int32_t& part_of(Subject& subject, AxisSubject kind) {
  switch (kind) {
    case AxisSubject::token:
      return subject.token;
    case AxisSubject::recorded_layer:
      return subject.row;
    case AxisSubject::expert:
      return subject.expert;
    case AxisSubject::none:
      break;
  }
  fail(ExitCode::internal, {}, "an axis without a subject has no part of a trace");
}

std::string value_text(double value, const std::string& unit) {
  if (!std::isfinite(value)) { return number_text(value); }
  // Three decimals, more below 0.1 and fewer from 10 on; shares in percent have one.
  constexpr std::pair<double, int> kDecimals[] = {{99.995, 1},   {9.9995, 2},    {0.09995, 3},
                                                  {0.009995, 4}, {0.0009995, 5}, {0.0001, 6}};
  const double size = std::abs(value);
  int decimals = unit == "%" && (size >= 0.05 || size == 0) ? 1 : size == 0 ? 3 : -1;
  for (const auto& [from, many] : kDecimals) {
    if (decimals < 0 && size >= from) { decimals = many; }
  }
  std::string text = number_text(value, 3);
  if (size >= 999.95 && size < 1e15) {
    text = (value < 0 ? "−" : "") + count_text(std::llround(size));
  } else if (decimals >= 0 && size < 1e15) {
    char digits[64];
    std::snprintf(digits, sizeof digits, "%.*f", decimals, size);
    text = (value < 0 ? "−" : "") + std::string(digits);
  }
  return unit.empty() ? text : text + " " + unit;
}

std::string whole_text(double value, const std::string& unit) {
  const bool whole = std::abs(value) < 1e15 && value == std::round(value);
  if (!whole) { return value_text(value, unit); }
  const std::string text = (value < 0 ? "−" : "") + count_text(std::llround(std::abs(value)));
  return unit.empty() ? text : text + " " + unit;
}

std::string colour_value(const ColourScale& colours, double value) {
  return colours.integer ? whole_text(value, colours.unit) : value_text(value, colours.unit);
}

std::optional<Readout> readout(const Figure& figure, std::size_t panel, double x, double y,
                               double reach_x, double reach_y, CellBlock block) {
  if (panel >= figure.panels.size()) { return {}; }
  return Reader(figure, figure.panels[panel], x, y, reach_x, reach_y, block).run();
}

}  // namespace kappascope
