#include "core/figure/keys.h"

#include <algorithm>
#include <cmath>

#include "core/figure/axis.h"

namespace kappascope {
namespace {

constexpr double kLineWidth = 11, kAreaWidth = 6, kSignGap = 2.5, kEntryGap = 9;  // points
constexpr double kBarHeight = 4.5, kWidestBar = 200;
constexpr int kBarSteps = 128;

void add_key(std::vector<Key>& keys, Key key) {
  if (key.name.empty()) { return; }
  key.name = plain_text(key.name);
  const bool known = std::any_of(keys.begin(), keys.end(), [&](const Key& other) {
    return other.name == key.name && other.sign == key.sign;
  });
  if (!known) { keys.push_back(std::move(key)); }
}

void add_heat_map(std::vector<Key>& keys, const HeatMap& map, const ColourMap& colours) {
  const auto add = [&](Key::Sign sign, Colour colour, const std::string& name) {
    add_key(keys, {sign, colour, 0, name, true});
  };
  const ColourScale& scale = map.colours;
  for (std::size_t i = 0; i < scale.names.size() && !scale.has_bar(); ++i) {
    add(Key::Sign::area, palette_colour(static_cast<int>(i)), scale.names[i]);
  }
  if (scale.kind == ColourKind::categorical && colours.any_under()) {
    add(Key::Sign::area, colours.under_colour(), scale.rest);
  }
  if (scale.log && colours.any_under()) {
    add(Key::Sign::area, colours.under_colour(), scale.under);
  }
  if (colours.any_missing()) {
    const std::string name = scale.no_value.empty() ? "no value" : scale.no_value;
    add(Key::Sign::hatched, kNoValueColour, name);
  }
  if (!map.outlined.empty()) { add(Key::Sign::framed, {255, 255, 255}, map.outline_name); }
}

void add_panel(std::vector<Key>& keys, const Panel& panel) {
  for (const Line& line : panel.lines) {
    add_key(keys, {Key::Sign::line, palette_colour(line.colour), line.dash, line.name});
  }
  for (const Points& points : panel.points) {
    if (!points.value.empty()) { continue; }
    add_key(keys, {Key::Sign::dots, palette_colour(points.colour), 0, points.name});
  }
  for (const StackedBars& stack : panel.stacks) {
    for (std::size_t i = 0; i < stack.names.size(); ++i) {
      add_key(keys, {Key::Sign::area, palette_colour(stack.colours[i]), 0, stack.names[i]});
    }
  }
  for (const Bars& bars : panel.bars) {
    add_key(keys, {Key::Sign::area, palette_colour(bars.colour), 0, bars.name});
  }
  for (const Bins& histogram : panel.bins) {
    add_key(keys, {Key::Sign::area, palette_colour(histogram.colour), 0, histogram.name});
  }
}

double sign_room(const Key& key) {
  return (key.sign == Key::Sign::line ? kLineWidth : kAreaWidth) + kSignGap;
}

void draw_sign(Painter& painter, const Key& key, Point left_middle, double font) {
  const double half = 0.3 * font;
  const Box box{left_middle.x, left_middle.y - half, kAreaWidth, 2 * half};
  switch (key.sign) {
    case Key::Sign::line:
      painter.line(left_middle, {left_middle.x + kLineWidth, left_middle.y}, key.colour, 1.1,
                   key.dash);
      break;
    case Key::Sign::dots:
      painter.add(
          SceneDots{{{left_middle.x + kAreaWidth / 2, left_middle.y}}, {key.colour}, 1.5, 1, -1});
      break;
    case Key::Sign::area:
    case Key::Sign::hatched:
      if (key.of_cells) {
        painter.add_as_is(SceneRect{box, key.colour});
      } else {
        painter.add(SceneRect{box, key.colour});
      }
      if (key.sign == Key::Sign::hatched) { painter.add_as_is(hatch(box)); }
      if (to_oklab(key.colour).lightness > 0.95) { painter.frame(box, kInk, 0.35); }
      break;
    case Key::Sign::framed:
      painter.frame(box, kInk, 0.7);
      break;
  }
}

// What the ends of the bar mean: beside the label where that leaves room, else below it.
void plan_notes(BarPlan& plan, const ColourScale& scale, const BarRoom& room, double font,
                TextMeter& meter) {
  if (!room.notes) { return; }
  const double size = tick_size(font);
  const bool any_note = !scale.low_note.empty() || !scale.high_note.empty();
  if (!scale.low_note.empty()) {
    plan.low_note = (scale.arrows ? "← " : "") + plain_text(scale.low_note);
  }
  if (!scale.high_note.empty()) {
    plan.high_note = plain_text(scale.high_note) + (scale.arrows ? " →" : "");
  }
  const double widest =
      std::max(meter.width(plan.low_note, size), meter.width(plan.high_note, size));
  const double label_width = plan.label.empty() ? 0 : meter.width(plan.label[0], font);
  plan.notes_apart =
      any_note && (plan.label.size() > 1 || label_width + 2 * widest + 2 * font > plan.width);
  const double half = plan.width / 2 - font;
  if (room.most_lines > 3 && widest > half) {
    plan.low_note.clear();
    plan.high_note.clear();
    plan.notes_apart = false;
  }
  plan.low_note = meter.elide(plan.low_note, half, size);
  plan.high_note = meter.elide(plan.high_note, half, size);
}

}  // namespace

std::vector<Key> keys_of(const std::vector<const Panel*>& panels, const ColourMap* colours) {
  std::vector<Key> keys;
  for (const Panel* panel : panels) {
    add_panel(keys, *panel);
    for (const HeatMap& map : panel->heat_map) {
      if (colours && colours->any_value()) { add_heat_map(keys, map, *colours); }
    }
  }
  return keys;
}

LegendPlan plan_legend(const std::vector<Key>& keys, double width, double font, TextMeter& meter,
                       std::size_t most_lines) {
  LegendPlan plan;
  const double size = tick_size(font);
  double x = 0;
  int row = 0;
  for (const Key& key : keys) {
    LegendPlan::Entry entry{key,
                            meter.wrap(key.name, width - sign_room(key), size, false, most_lines)};
    double needed = 0;
    for (const std::string& line : entry.lines) {
      needed = std::max(needed, meter.width(line, size));
    }
    needed += sign_room(key);
    if (x > 0 && x + needed > width) {
      x = 0;
      row = plan.rows;
    }
    entry.x = x;
    entry.row = row;
    plan.rows = std::max(plan.rows, row + std::max(1, static_cast<int>(entry.lines.size())));
    plan.entries.push_back(std::move(entry));
    x += needed + kEntryGap;
  }
  return plan;
}

void draw_legend(Painter& painter, const LegendPlan& plan, Point top_left, double font) {
  for (const LegendPlan::Entry& entry : plan.entries) {
    const double x = top_left.x + entry.x;
    double middle = top_left.y + (entry.row + 0.5) * 1.35 * font;
    draw_sign(painter, entry.key, {x, middle}, font);
    for (const std::string& line : entry.lines) {
      painter.text(line, {x + sign_room(entry.key), middle + 0.365 * tick_size(font)},
                   {tick_size(font)});
      middle += 1.35 * font;
    }
  }
}

double BarPlan::height(double font) const {
  const double lines = static_cast<double>(label.size()) + (notes_apart ? 1.1 : 0);
  return kBarHeight + kTickLength + kTickGap + 0.9 * tick_size(font) + 0.4 * font +
         lines * 1.2 * font;
}

BarPlan plan_bar(const ColourScale& scale, const ColourMap& colours, const BarRoom& room,
                 double font, TextMeter& meter) {
  BarPlan plan;
  plan.width = std::min(room.width, kWidestBar);
  AxisPlan axis;
  axis.low = colours.low();
  axis.high = colours.high();
  axis.log = colours.log();
  FigureAxis words;
  words.integer = scale.integer;
  words.scale = colours.log() ? Scale::log : Scale::linear;
  plan_horizontal(axis, words, {.length = plan.width}, font, meter);
  plan.ticks = axis.ticks;
  plan.minor = axis.minor;
  double half = 0;  // of the widest label: beside the bar there is room for 1.3 × font
  for (const Tick& tick : plan.ticks) {
    half = std::max(half, meter.width(tick.label, tick_size(font)) / 2);
  }
  plan.width = std::min(plan.width, room.width - 2 * std::max(0.0, half - 1.2 * font));
  const std::string label = name_with_unit(plain_text(scale.label), plain_text(scale.unit));
  plan.label =
      meter.wrap(label, room.before + room.width + room.after, font, false, room.most_lines);
  double label_width = 0;
  for (const std::string& line : plan.label) {
    label_width = std::max(label_width, meter.width(line, font));
  }
  plan.shift = AxisRoom{room.width, room.before, room.after}.inside(room.width / 2, label_width) -
               room.width / 2;
  plan_notes(plan, scale, room, font, meter);
  return plan;
}

void draw_bar(Painter& painter, const BarPlan& plan, const ColourMap& colours, Point top_middle,
              double font) {
  const Box bar{top_middle.x - plan.width / 2, top_middle.y, plan.width, kBarHeight};
  const double step = bar.width / kBarSteps;
  for (int i = 0; i < kBarSteps; ++i) {
    const double overlap = i + 1 < kBarSteps ? step : 0;
    painter.add_as_is(SceneRect{{bar.x + i * step, bar.y, step + overlap, bar.height},
                                colours.at((i + 0.5) / kBarSteps)});
  }
  painter.frame(bar, kInk, 0.4);
  const double size = tick_size(font);
  const double baseline = bar.bottom() + kTickLength + kTickGap + 0.76 * size;
  for (const Tick& tick : plan.ticks) {
    const double x = bar.x + colours.share(tick.value) * bar.width;
    painter.line({x, bar.bottom()}, {x, bar.bottom() + kTickLength}, kInk, 0.5);
    painter.text(tick.label, {x, baseline}, {size, Anchor::middle});
  }
  for (const double value : plan.minor) {
    const double x = bar.x + colours.share(value) * bar.width;
    painter.line({x, bar.bottom()}, {x, bar.bottom() + kMinorLength}, kInk, kMinorStroke);
  }
  double y = bar.bottom() + kTickLength + kTickGap + 0.9 * size + 0.4 * font;
  const double notes = y + (plan.notes_apart ? 0.75 : 0.93) * font;
  painter.text(plan.low_note, {bar.x, notes}, {size, Anchor::start, false, false, kQuietInk});
  painter.text(plan.high_note, {bar.right(), notes}, {size, Anchor::end, false, false, kQuietInk});
  if (plan.notes_apart) { y += 1.32 * font; }
  for (const std::string& line : plan.label) {
    painter.text(line, {top_middle.x + plan.shift, y + 0.93 * font}, {font, Anchor::middle});
    y += 1.2 * font;
  }
}

}  // namespace kappascope
