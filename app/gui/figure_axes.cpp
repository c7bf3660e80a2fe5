#include "app/gui/figure_axes.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "core/figure/axis.h"
#include "core/figure/parts.h"
#include "core/figure/text.h"

namespace kappascope::gui {
namespace {

constexpr int kMostTicks = 11;
constexpr float kLine = 1.18f;  // of the size of the text, from line to line

float tick_length() {
  return std::max(2.0f, 0.22f * em());
}
float tick_gap() {
  return 0.22f * em();
}

struct Positions {
  long long first = 0, last = -1;
  long long count() const { return last - first + 1; }
};

// Positions of a category axis whose place is in sight.
Positions in_sight(const FigureAxis& axis, const AxisView& view) {
  const auto size = static_cast<long long>(axis.names.size());
  return {std::max(0LL, static_cast<long long>(std::ceil(view.low))),
          std::min(size - 1, static_cast<long long>(std::floor(view.high)))};
}

float widest(const std::vector<Tick>& ticks, float size) {
  float result = 0;
  for (const Tick& tick : ticks) { result = std::max(result, text_width(tick.label, size)); }
  return result;
}

void all_names(AxisTicks& plan, const FigureAxis& axis, Positions seen, float room, float size) {
  plan.ticks.clear();
  for (long long i = seen.first; i <= seen.last; ++i) {
    const std::string& name = axis.names[i];
    plan.ticks.push_back({static_cast<double>(i), fit_text(plain_text(name), room, size)});
  }
}

// Every n-th name, or the positions as numbers.
void thin_out(AxisTicks& plan, const FigureAxis& axis, Positions seen, long long most) {
  const long long step = round_step(seen.count(), most);
  // Numbers are round themselves (10, 20 …), names are counted from the first of the axis.
  const long long offset = axis.number_when_crowded ? axis.first_number : 0;
  const long long first = seen.first + (step - (seen.first + offset) % step) % step;
  plan.ticks.clear();
  for (long long i = first; i <= seen.last; i += step) {
    const std::string& name = axis.names[i];
    plan.ticks.push_back({static_cast<double>(i),
                          axis.number_when_crowded ? count_text(offset + i) : plain_text(name)});
  }
}

bool all_short(const std::vector<Tick>& ticks, float room, float size) {
  return std::all_of(ticks.begin(), ticks.end(),
                     [&](const Tick& tick) { return text_width(tick.label, size) < room; });
}

// Names are horizontal when all fit, upright when their lines fit, thinned out otherwise.
void horizontal_names(AxisTicks& plan, const FigureAxis& axis, const AxisView& view,
                      float upright_room) {
  const FigureFont font = figure_font();
  const Positions seen = in_sight(axis, view);
  if (seen.count() < 1) { return; }
  const double cell = view.position_pixels();
  const float gap = 0.5f * em();
  if (cell >= 1.05 * font.tick) {
    all_names(plan, axis, seen, std::max(upright_room, static_cast<float>(cell) - gap), font.tick);
    const float width = widest(plan.ticks, font.tick);
    if (width + gap <= cell) { return; }
    if (!all_short(plan.ticks, 3 * em(), font.tick) && upright_room > 2 * em()) {
      all_names(plan, axis, seen, upright_room, font.tick);
      plan.upright = true;
      plan.extent = widest(plan.ticks, font.tick);
      return;
    }
  }
  for (long long most = std::min<long long>(
           2 * kMostTicks, std::max(1LL, static_cast<long long>(view.length() / (1.5f * em()))));
       most >= 1; most /= 2) {
    thin_out(plan, axis, seen, most);
    const double step =
        plan.ticks.size() < 2 ? view.length() : cell * (plan.ticks[1].value - plan.ticks[0].value);
    if (widest(plan.ticks, font.tick) + gap <= step) { return; }
  }
  plan.ticks.clear();
}

std::vector<Tick> number_ticks(const FigureAxis& axis, const AxisView& view, int most) {
  return view.log ? log_ticks(view.low, view.high, most)
                  : linear_ticks(view.low, view.high, most, axis.integer);
}

double least_gap(const AxisView& view, const std::vector<Tick>& ticks) {
  double least = 1e9;
  for (std::size_t i = 1; i < ticks.size(); ++i) {
    least = std::min(least, view.share(ticks[i].value) - view.share(ticks[i - 1].value));
  }
  return least;
}

void plan_x(AxisTicks& plan, const FigureAxis& axis, const AxisView& view, float upright_room) {
  const FigureFont font = figure_font();
  plan.extent = font.tick;
  if (axis.scale == Scale::category) { return horizontal_names(plan, axis, view, upright_room); }
  const int room = std::clamp(static_cast<int>(view.length() / (2.8f * em())), 2, kMostTicks);
  for (int most = room; most >= 1; --most) {
    plan.ticks = number_ticks(axis, view, most);
    if (widest(plan.ticks, font.tick) + 0.6 * em() <= view.length() * least_gap(view, plan.ticks)) {
      return;
    }
  }
}

void plan_y(AxisTicks& plan, const FigureAxis& axis, const AxisView& view) {
  const FigureFont font = figure_font();
  if (axis.scale != Scale::category) {
    const int room = std::clamp(static_cast<int>(view.length() / (2 * em())), 2, kMostTicks);
    for (int most = room; most <= room + 2 && plan.ticks.size() < 2; ++most) {
      plan.ticks = number_ticks(axis, view, most);
    }
  } else if (const Positions seen = in_sight(axis, view); seen.count() > 0) {
    if (view.position_pixels() >= 1.05 * font.tick) {
      all_names(plan, axis, seen, longest_sideways(), font.tick);
    } else {
      thin_out(plan, axis, seen, static_cast<long long>(view.length() / (1.8f * font.tick)));
    }
  }
  plan.extent = widest(plan.ticks, font.tick);
}

std::string name_of(const FigureAxis& axis) {
  return name_with_unit(plain_text(axis.name), plain_text(axis.unit));
}

}  // namespace

double AxisView::share(double value) const {
  if (log) { return value > 0 ? std::log(value / low) / std::log(high / low) : kNaN; }
  return (value - low) / (high - low);
}

double AxisView::value(double share) const {
  return log ? low * std::pow(high / low, share) : low + share * (high - low);
}

float AxisView::pixel(double value) const {
  const double place = std::clamp(share(value), -1.0, 2.0);
  return static_cast<float>(begin + place * (static_cast<double>(end) - begin));
}

double AxisView::at_pixel(float pixel) const {
  return value((static_cast<double>(pixel) - begin) / (static_cast<double>(end) - begin));
}

double AxisView::reach(float pixel, float pixels) const {
  const double low_value = at_pixel(pixel - pixels), high_value = at_pixel(pixel + pixels);
  return log ? std::abs(std::log(high_value / low_value)) / 2
             : std::abs(high_value - low_value) / 2;
}

double AxisHand::place(double value) const {
  return log ? std::log(value) : value;
}

// Of the same size where that is possible.
void AxisHand::set(double low, double high) {
  const double floor = place(whole.low), ceiling = place(whole.high);
  const double size = std::clamp(high - low, std::min(least, ceiling - floor), ceiling - floor);
  if (size >= ceiling - floor) { return reset(); }
  low = std::clamp((low + high - size) / 2, floor, ceiling - size);
  const auto value = [&](double at) { return log ? std::exp(at) : at; };
  span = {value(low), value(low + size)};
}

void AxisHand::zoom(double factor, double share) {
  const double low = place(span.low), high = place(span.high), fixed = low + share * (high - low);
  set(fixed - (fixed - low) * factor, fixed + (high - fixed) * factor);
}

void AxisHand::pan(double share) {
  const double low = place(span.low), high = place(span.high);
  set(low + share * (high - low), high + share * (high - low));
}

FigureFont figure_font() {
  return {std::round(0.93f * em()), std::round(0.86f * em())};
}

float text_width(std::string_view text, float size) {
  return ImGui::GetFont()
      ->CalcTextSizeA(size, FLT_MAX, 0, text.data(), text.data() + text.size())
      .x;
}

std::string fit_text(const std::string& text, float room, float size) {
  if (text_width(text, size) <= room) { return text; }
  const float rest = room - text_width("…", size);
  if (rest <= 0) { return ""; }
  const char* stop = text.c_str();
  ImGui::GetFont()->CalcTextSizeA(size, rest, 0, text.c_str(), text.c_str() + text.size(), &stop);
  return text.substr(0, static_cast<std::size_t>(stop - text.c_str())) + "…";
}

void add_text(ImDrawList& list, ImVec2 at, float size, ImU32 colour, std::string_view text) {
  list.AddText(ImGui::GetFont(), size, ImVec2(std::round(at.x), std::round(at.y)), colour,
               text.data(), text.data() + text.size());
}

void add_upright_text(ImDrawList& list, ImVec2 at, float size, ImU32 colour,
                      std::string_view text) {
  // Written where nothing of it is cut, then turned by moving its corners.
  const ImVec2 corner = list.GetClipRectMin();
  const ImVec2 start(std::round(corner.x), std::round(corner.y));
  const int before = list.VtxBuffer.Size;
  list.AddText(ImGui::GetFont(), size, start, colour, text.data(), text.data() + text.size());
  for (int i = before; i < list.VtxBuffer.Size; ++i) {
    ImVec2& place = list.VtxBuffer[i].pos;
    place = ImVec2(std::round(at.x) + (place.y - start.y), std::round(at.y) - (place.x - start.x));
  }
}

AxisTicks plan_ticks(const FigureAxis& axis, const AxisView& view, bool horizontal,
                     float upright_room) {
  AxisTicks plan;
  if (horizontal) {
    plan_x(plan, axis, view, upright_room);
  } else {
    plan_y(plan, axis, view);
  }
  return plan;
}

float longest_sideways() {
  return 11 * em();
}

std::vector<std::string> wrapped(const std::string& text, float room, float size) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = text.size();
    while (text_width(std::string_view(text).substr(begin, end - begin), size) > room) {
      const std::size_t space = text.rfind(' ', end - 1);
      if (space == std::string::npos || space <= begin) { break; }
      end = space;
    }
    lines.push_back(fit_text(text.substr(begin, end - begin), room, size));
    begin = end + 1;
  }
  return lines;
}

void add_lines(ImDrawList& list, const std::vector<std::string>& lines, ImVec2 middle_top,
               float left, float right, float size, ImU32 colour) {
  float y = middle_top.y;
  for (const std::string& line : lines) {
    const float width = text_width(line, size);
    const float x = std::clamp(middle_top.x - width / 2, left, std::max(left, right - width));
    add_text(list, {x, y}, size, colour, line);
    y += kLine * size;
  }
}

float axis_room(const FigureAxis& axis, const AxisTicks& ticks, NameRoom name) {
  const float size = figure_font().name;
  const float labels = ticks.ticks.empty() ? 0 : tick_length() + tick_gap() + ticks.extent;
  const std::size_t lines = wrapped(name_of(axis), name.length(), size).size();
  return labels + (lines > 0 ? 0.3f * em() + kLine * size * float(lines) : 0);
}

void draw_axis_y(ImDrawList& list, const FigureAxis& axis, const AxisView& view,
                 const AxisTicks& ticks, const ScreenBox& plot, float left, NameRoom name,
                 const Theme& theme) {
  const FigureFont font = figure_font();
  const float right = plot.left - tick_length() - tick_gap();
  for (const Tick& tick : ticks.ticks) {
    const float y = std::round(view.pixel(tick.value));
    list.AddLine(ImVec2(plot.left - tick_length(), y), ImVec2(plot.left, y), theme.quiet_text);
    add_text(list, ImVec2(right - text_width(tick.label, font.tick), y - 0.5f * font.tick),
             font.tick, theme.text, tick.label);
  }
  const float middle = (plot.top + plot.bottom) / 2;
  for (const std::string& line : wrapped(name_of(axis), name.length(), font.name)) {
    const float length = text_width(line, font.name);
    const float low = std::min(name.end, std::max(middle + length / 2, name.begin + length));
    add_upright_text(list, {left, low}, font.name, theme.text, line);
    left += kLine * font.name;
  }
}

void draw_axis_x(ImDrawList& list, const FigureAxis& axis, const AxisView& view,
                 const AxisTicks& ticks, const ScreenBox& plot, NameRoom name, const Theme& theme) {
  const FigureFont font = figure_font();
  const float top = plot.bottom + tick_length() + tick_gap();
  for (const Tick& tick : ticks.ticks) {
    const float x = std::round(view.pixel(tick.value));
    list.AddLine(ImVec2(x, plot.bottom), ImVec2(x, plot.bottom + tick_length()), theme.quiet_text);
    const float width = text_width(tick.label, font.tick);
    if (ticks.upright) {
      add_upright_text(list, ImVec2(x - 0.5f * font.tick, top + width), font.tick, theme.text,
                       tick.label);
    } else {
      add_text(list, ImVec2(x - width / 2, top), font.tick, theme.text, tick.label);
    }
  }
  const float labels = ticks.ticks.empty() ? 0 : tick_length() + tick_gap() + ticks.extent;
  add_lines(list, wrapped(name_of(axis), name.length(), font.name),
            {(plot.left + plot.right) / 2, plot.bottom + labels + 0.3f * em()}, name.begin,
            name.end, font.name, theme.text);
}

}  // namespace kappascope::gui
