// Axes of a figure on the screen: which part is in sight, which ticks fit, their text.
#pragma once

#include <imgui.h>

#include <string>
#include <string_view>
#include <vector>

#include "app/gui/cell_tiles.h"
#include "app/gui/theme.h"
#include "core/figure/figure.h"
#include "core/figure/ticks.h"

namespace kappascope::gui {

// The part of an axis that is in sight, and the pixels of its ends (vertical: begin is below).
struct AxisView {
  double low = 0, high = 1;
  bool log = false;
  float begin = 0, end = 1;

  double share(double value) const;  // 0 at low … 1 at high; NaN where the axis has no place
  double value(double share) const;
  // Values far outside stop a plot's size away, so that coordinates stay small.
  float pixel(double value) const;
  double at_pixel(float pixel) const;
  float length() const { return begin < end ? end - begin : begin - end; }
  double position_pixels() const { return length() / (high - low); }  // of one unit, linear axes
  // Half a finger's width around `pixel`, in the unit that readout() takes.
  double reach(float pixel, float pixels) const;
};

struct AxisSpan {
  double low = 0, high = 1;
};

// One axis of a panel in the hand of the user: what is in sight never leaves `whole`.
struct AxisHand {
  AxisSpan& span;
  AxisSpan whole;
  bool log;
  double least;  // smallest size in sight; logarithmic: of ln

  void zoom(double factor, double share);  // about the place `share` of the way
  void pan(double share);                  // of what is in sight
  void reset() { span = whole; }

 private:
  double place(double value) const;
  void set(double low, double high);
};

struct AxisTicks {
  std::vector<Tick> ticks;
  bool upright = false;  // labels of a horizontal axis turned by −90°
  float extent = 0;      // of the labels, away from the axis
};

// Heights of text in pixels.
struct FigureFont {
  float name = 0, tick = 0;
};
FigureFont figure_font();  // of the font in force

float text_width(std::string_view text, float size);
// `text`, or as much of its beginning as fits into `room` with … behind it.
std::string fit_text(const std::string& text, float room, float size);
void add_text(ImDrawList& list, ImVec2 at, float size, ImU32 colour, std::string_view text);
// Read from below, its lower left corner at `at`.
void add_upright_text(ImDrawList& list, ImVec2 at, float size, ImU32 colour, std::string_view text);

// As many ticks as fit; names of a horizontal axis are turned up only within `upright_room`.
AxisTicks plan_ticks(const FigureAxis& axis, const AxisView& view, bool horizontal,
                     float upright_room);
// Names of a vertical axis are cut there.
float longest_sideways();

// `text` in lines of at most `room` pixels, broken at spaces; only a word that is longer is cut.
std::vector<std::string> wrapped(const std::string& text, float room, float size);
// Each line in the middle between `left` and `right` as far as possible about `middle`.
void add_lines(ImDrawList& list, const std::vector<std::string>& lines, ImVec2 middle_top,
               float left, float right, float size, ImU32 colour);

// Where the name of an axis may be: in pixels along it.
struct NameRoom {
  float begin = 0, end = 0;  // begin < end
  float length() const { return end - begin; }
};

// Room that the labels and the name of an axis take, away from the plot.
float axis_room(const FigureAxis& axis, const AxisTicks& ticks, NameRoom name);

// Ticks, labels and name left of (below) `plot`; of a vertical axis the name starts at `left`.
void draw_axis_y(ImDrawList& list, const FigureAxis& axis, const AxisView& view,
                 const AxisTicks& ticks, const ScreenBox& plot, float left, NameRoom name,
                 const Theme& theme);
void draw_axis_x(ImDrawList& list, const FigureAxis& axis, const AxisView& view,
                 const AxisTicks& ticks, const ScreenBox& plot, NameRoom name, const Theme& theme);

}  // namespace kappascope::gui
