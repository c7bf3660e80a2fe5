#include "core/figure/axis.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/figure/text.h"

namespace kappascope {
namespace {

constexpr double kLargest = 1e300;       // keeps differences finite
constexpr double kRounding = 1e-12;      // share of a value that is no difference
constexpr double kLongestSideways = 90;  // points of a name beside a vertical axis
constexpr int kMostTicks = 11;

// The values an axis has to show.
struct Reach {
  double low = kLargest, high = -kLargest;
  bool from_zero = false;  // bars start at 0: no space below them
  bool positive = false;   // log axis: the others have no place

  void add(double value) {
    if (!std::isfinite(value) || (positive && value <= 0)) { return; }
    value = std::clamp(value, -kLargest, kLargest);
    low = std::min(low, value);
    high = std::max(high, value);
  }
  void add(const std::vector<double>& values) {
    for (const double value : values) { add(value); }
  }
  bool any() const { return low <= high; }
};

void add_stacks(Reach& reach, const StackedBars& stack, bool horizontal) {
  for (std::size_t i = 0; i < stack.position.size(); ++i) {
    if (horizontal) {
      reach.add(stack.position[i] - 0.5);
      reach.add(stack.position[i] + 0.5);
      continue;
    }
    double sum = 0;
    for (const auto& part : stack.values) { sum += std::isfinite(part[i]) ? part[i] : 0; }
    reach.add(sum);
  }
  if (!horizontal) { reach.from_zero = true; }
}

void add_bars(Reach& reach, const Bars& bars, bool horizontal) {
  if (bars.horizontal == horizontal) {
    reach.add(bars.value);
    reach.from_zero = true;
    return;
  }
  for (const double position : bars.position) {
    reach.add(position - 0.5);
    reach.add(position + 0.5);
  }
}

void add_histogram(Reach& reach, const Bins& histogram, bool horizontal) {
  reach.add(horizontal ? histogram.edges : histogram.counts);
  if (!horizontal) { reach.from_zero = true; }
}

void add_violin(Reach& reach, const Violin& violin, bool horizontal) {
  if (!horizontal) {
    reach.add(violin.value);
    reach.add(violin.low);
    reach.add(violin.high);
    return;
  }
  reach.add(violin.position - 0.5);
  reach.add(violin.position + 0.5);
}

Reach reach_of(const Panel& panel, bool horizontal, bool log) {
  Reach reach;
  reach.positive = log;
  for (const Line& line : panel.lines) {
    reach.add(horizontal ? line.x : line.y);
    if (!horizontal) { reach.add(line.low); }
    if (!horizontal) { reach.add(line.high); }
  }
  for (const Points& points : panel.points) { reach.add(horizontal ? points.x : points.y); }
  for (const Violin& violin : panel.violins) { add_violin(reach, violin, horizontal); }
  for (const ReferenceLine& line : panel.references) {
    if (line.vertical == horizontal) { reach.add(line.value); }
  }
  for (const Bins& histogram : panel.bins) { add_histogram(reach, histogram, horizontal); }
  for (const StackedBars& stack : panel.stacks) { add_stacks(reach, stack, horizontal); }
  for (const Bars& bars : panel.bars) { add_bars(reach, bars, horizontal); }
  if (reach.from_zero) { reach.add(0.0); }
  return reach;
}

// Space around the marks; a single value gets a range of its own size, and so do values that differ
// by rounding alone.
void widen(AxisPlan& plan, const Reach& reach, double share) {
  double low = plan.log ? std::log(reach.low) : reach.low;
  double high = plan.log ? std::log(reach.high) : reach.high;
  double space = (high / 2 - low / 2) * 2 * share;
  const double size = std::max(std::abs(reach.low), std::abs(reach.high));
  if (reach.high - reach.low <= kRounding * size) {
    space = plan.log ? std::log(2.0) : std::max(std::abs(low) * 0.1, 0.5);
  }
  if (!(reach.from_zero && low == 0)) { low -= space; }
  if (!(reach.from_zero && high == 0)) { high += space; }
  plan.low = plan.log ? std::exp(low) : low;
  plan.high = plan.log ? std::exp(high) : high;
}

// Positions of a category axis whose place is in sight.
struct Shown {
  long long first = 0, last = -1;
  long long count() const { return last - first + 1; }
};

Shown in_sight(const AxisPlan& plan, const FigureAxis& axis) {
  const auto size = static_cast<long long>(axis.names.size());
  return {std::max(0LL, static_cast<long long>(std::ceil(plan.low))),
          std::min(size - 1, static_cast<long long>(std::floor(plan.high)))};
}

bool as_numbers_short(const FigureAxis& axis, Shown seen, double font, TextMeter& meter) {
  return std::all_of(axis.names.begin() + seen.first, axis.names.begin() + seen.last + 1,
                     [&](const std::string& name) {
                       return name.size() < 16 &&
                              meter.width(plain_text(name), tick_size(font)) < 3 * font;
                     });
}

// Every n-th name, or the positions as numbers.
void thin_out(AxisPlan& plan, const FigureAxis& axis, Shown seen, long long most) {
  const long long step = round_step(seen.count(), most);
  plan.ticks.clear();
  // Numbers are round themselves (10, 20 …), names are counted from the first of the axis.
  const long long offset = axis.number_when_crowded ? axis.first_number : 0;
  const long long past = (seen.first + offset) % step;
  for (long long i = seen.first + ((-past) % step + step) % step; i <= seen.last; i += step) {
    const auto at = static_cast<std::size_t>(i);
    plan.ticks.push_back({static_cast<double>(i), axis.number_when_crowded
                                                      ? count_text(axis.first_number + i)
                                                      : plain_text(axis.names[at])});
  }
}

void all_names(AxisPlan& plan, const FigureAxis& axis, Shown seen, double room, double font,
               TextMeter& meter) {
  plan.ticks.clear();
  for (long long i = seen.first; i <= seen.last; ++i) {
    plan.ticks.push_back(
        {static_cast<double>(i), meter.elide(plain_text(axis.names[i]), room, tick_size(font))});
  }
}

double widest(const std::vector<Tick>& ticks, double font, TextMeter& meter) {
  double result = 0;
  for (const Tick& tick : ticks) {
    result = std::max(result, meter.width(tick.label, tick_size(font)));
  }
  return result;
}

std::vector<Tick> number_ticks(const AxisPlan& plan, const FigureAxis& axis, int most) {
  return plan.log ? log_ticks(plan.low, plan.high, most)
                  : linear_ticks(plan.low, plan.high, most, axis.integer);
}

void add_minor_ticks(AxisPlan& plan, double length) {
  plan.minor.clear();
  if (!plan.log) { return; }
  const std::vector<double> minor =
      minor_log_ticks(plan.low, plan.high, plan.ticks, static_cast<int>(length / kMinorGap));
  double last = -1;  // near the upper end of a decade they would touch
  for (const double value : minor) {
    const double at = plan.share(value) * length;
    if (last >= 0 && at - last < 0.5 * kMinorGap) { continue; }
    plan.minor.push_back(value);
    last = at;
  }
}

// Names are horizontal when all fit, upright when their lines fit, thinned out otherwise.
void horizontal_names(AxisPlan& plan, const FigureAxis& axis, const AxisRoom& room, double font,
                      TextMeter& meter) {
  const Shown seen = in_sight(plan, axis);
  if (seen.count() < 1) { return; }
  const double cell = room.length / (plan.high - plan.low);
  const double gap = 0.5 * font, line = 1.12 * tick_size(font);
  const bool may_turn = cell >= line;
  if (may_turn) {
    all_names(plan, axis, seen, std::max(room.upright, cell - gap), font, meter);
    double width = widest(plan.ticks, font, meter);
    if (width + gap <= cell) { return; }
    if (room.upright > 2 * font && !as_numbers_short(axis, seen, font, meter)) {
      all_names(plan, axis, seen, room.upright, font, meter);
      plan.upright = true;
      plan.extent = widest(plan.ticks, font, meter);
      return;
    }
  }
  for (long long most =
           std::min<long long>(2 * kMostTicks, static_cast<long long>(room.length / (1.5 * font)));
       most >= 1; most /= 2) {
    thin_out(plan, axis, seen, most);
    const double width = widest(plan.ticks, font, meter);
    const double step =
        plan.ticks.size() < 2 ? room.length : cell * (plan.ticks[1].value - plan.ticks[0].value);
    if (width + gap <= step) { return; }
  }
  plan.ticks.clear();
}

// Smallest distance of neighbouring ticks, as a share of the axis.
double least_gap(const AxisPlan& plan) {
  double least = 1e9;
  for (std::size_t i = 1; i < plan.ticks.size(); ++i) {
    least = std::min(least, plan.share(plan.ticks[i].value) - plan.share(plan.ticks[i - 1].value));
  }
  return least;
}

// A word that is not much longer than the axis is not broken: it extends beyond both ends, where
// nothing else is.
double room_for_words(const std::string& title, double length, double font, TextMeter& meter) {
  double longest = 0;
  for (std::size_t first = 0; first < title.size();) {
    const std::size_t end = std::min(title.find(' ', first), title.size());
    longest = std::max(longest, meter.width(title.substr(first, end - first), font));
    first = end + 1;
  }
  return longest <= length + 4 * font ? std::max(length, longest) : length;
}

std::vector<std::string> title_lines(const FigureAxis& axis, const AxisRoom& room, double font,
                                     TextMeter& meter) {
  const std::string title = name_with_unit(plain_text(axis.name), plain_text(axis.unit));
  const double length = std::max(room.before + room.length + room.after, 2 * font);
  return meter.wrap(title, room_for_words(title, length, font, meter), font, false,
                    room.most_lines);
}

}  // namespace

double AxisRoom::inside(double middle, double width) const {
  const double first = -before + width / 2, last = length + after - width / 2;
  return first > last ? middle : std::clamp(middle, first, last);
}

std::string name_with_unit(const std::string& name, const std::string& unit) {
  return unit.empty() ? name : name.empty() ? unit : name + " (" + unit + ")";
}

bool has_log_axis(const Figure& figure) {
  return std::any_of(figure.panels.begin(), figure.panels.end(), [](const Panel& panel) {
    return panel.x.scale == Scale::log || panel.y.scale == Scale::log;
  });
}

void set_range(AxisPlan& plan, const Panel& panel, bool horizontal) {
  const FigureAxis& axis = horizontal ? panel.x : panel.y;
  if (axis.scale == Scale::category) {
    plan.low = -0.5;
    plan.high = std::max<double>(1, static_cast<double>(axis.names.size())) - 0.5;
    return;
  }
  plan.log = axis.scale == Scale::log;
  const Reach reach = reach_of(panel, horizontal, plan.log);
  if (reach.any()) {
    widen(plan, reach, horizontal ? 0.02 : 0.05);
  } else {
    plan.low = plan.log ? 0.1 : 0;
    plan.high = plan.log ? 10 : 1;
  }
  if (std::isfinite(axis.low) && (!plan.log || axis.low > 0)) { plan.low = axis.low; }
  if (std::isfinite(axis.high) && (!plan.log || axis.high > 0)) { plan.high = axis.high; }
  if (!(plan.low < plan.high)) { plan.high = plan.log ? plan.low * 2 : plan.low + 1; }
}

void plan_horizontal(AxisPlan& plan, const FigureAxis& axis, const AxisRoom& room, double font,
                     TextMeter& meter) {
  plan.ticks.clear();
  plan.upright = false;
  plan.title = title_lines(axis, room, font, meter);
  plan.extent = 0.76 * tick_size(font);
  if (axis.scale == Scale::category) {
    if (!axis.names.empty()) { horizontal_names(plan, axis, room, font, meter); }
  } else {
    const double length = room.length;
    for (int most = std::clamp(static_cast<int>(length / (2.8 * font)), 2, kMostTicks); most >= 1;
         --most) {
      plan.ticks = number_ticks(plan, axis, most);
      if (widest(plan.ticks, font, meter) + 0.6 * font <= length * least_gap(plan)) { break; }
    }
    add_minor_ticks(plan, length);
  }
  if (!plan.upright) {
    for (const Tick& tick : plan.ticks) {
      const Box ink = meter.extent(tick.label, tick_size(font), false).ink;
      plan.extent = std::max(plan.extent, ink.bottom() + 0.76 * tick_size(font));
    }
  }
}

void plan_vertical(AxisPlan& plan, const FigureAxis& axis, const AxisRoom& room, double font,
                   TextMeter& meter) {
  plan.ticks.clear();
  plan.title = title_lines(axis, room, font, meter);
  const double length = room.length, line = 1.12 * tick_size(font);
  if (axis.scale != Scale::category) {
    const int most = std::clamp(static_cast<int>(length / (1.7 * font)), 2, 7);
    for (int more = 0; more <= 2 && plan.ticks.size() < 2; ++more) {
      plan.ticks = number_ticks(plan, axis, most + more);
    }
    add_minor_ticks(plan, length);
  } else if (const Shown seen = in_sight(plan, axis); seen.count() > 0) {
    if (length / (plan.high - plan.low) >= line) {
      all_names(plan, axis, seen, kLongestSideways, font, meter);
    } else {
      thin_out(plan, axis, seen, static_cast<long long>(length / (1.8 * tick_size(font))));
    }
  }
  plan.extent = widest(plan.ticks, font, meter);
}

double vertical_room(const AxisPlan& plan, double font) {
  const double labels = plan.ticks.empty() ? 0 : kTickLength + kTickGap + plan.extent;
  const double lines = static_cast<double>(plan.title.size());
  return labels + (plan.title.empty() ? 0 : 0.45 * font + lines * 1.2 * font);
}

double horizontal_room(const AxisPlan& plan, double font) {
  const double labels = plan.ticks.empty() ? 0 : kTickLength + kTickGap + plan.extent;
  const double lines = static_cast<double>(plan.title.size());
  return labels + (plan.title.empty() ? 0 : 0.5 * font + lines * 1.2 * font);
}

void draw_vertical(Painter& painter, const AxisPlan& plan, const Box& plot, const AxisRoom& room,
                   double font, double title_right) {
  const double size = tick_size(font);
  for (const Tick& tick : plan.ticks) {
    const double y = plot.bottom() - plan.share(tick.value) * plot.height;
    painter.line({plot.x - kTickLength, y}, {plot.x, y}, kInk, 0.5);
    TextLook look{size, Anchor::end};
    painter.text(tick.label, {plot.x - kTickLength - kTickGap, y + 0.365 * size}, look);
  }
  for (const double value : plan.minor) {
    const double y = plot.bottom() - plan.share(value) * plot.height;
    painter.line({plot.x - kMinorLength, y}, {plot.x, y}, kInk, kMinorStroke);
  }
  TextLook look{font, Anchor::middle, false, true};
  double x = title_right - 0.25 * font - 1.2 * font * (static_cast<double>(plan.title.size()) - 1);
  for (const std::string& line : plan.title) {
    const double middle = room.inside(plot.height / 2, painter.meter().width(line, font));
    painter.text(line, {x, plot.y + middle}, look);
    x += 1.2 * font;
  }
}

void draw_horizontal(Painter& painter, const AxisPlan& plan, const Box& plot, const AxisRoom& room,
                     double font) {
  const double size = tick_size(font), top = plot.bottom() + kTickLength + kTickGap;
  for (const Tick& tick : plan.ticks) {
    const double x = plot.x + plan.share(tick.value) * plot.width;
    painter.line({x, plot.bottom()}, {x, plot.bottom() + kTickLength}, kInk, 0.5);
    TextLook look{size, plan.upright ? Anchor::end : Anchor::middle, false, plan.upright};
    const Point at = plan.upright ? Point{x + 0.365 * size, top} : Point{x, top + 0.76 * size};
    painter.text(tick.label, at, look);
  }
  for (const double value : plan.minor) {
    const double x = plot.x + plan.share(value) * plot.width;
    painter.line({x, plot.bottom()}, {x, plot.bottom() + kMinorLength}, kInk, kMinorStroke);
  }
  double y = plot.bottom() + horizontal_room(plan, font) -
             1.2 * font * static_cast<double>(plan.title.size());
  for (const std::string& line : plan.title) {
    y += 1.2 * font;
    const double middle = room.inside(plot.width / 2, painter.meter().width(line, font));
    painter.text(line, {plot.x + middle, y - 0.27 * font}, {font, Anchor::middle});
  }
}

}  // namespace kappascope
