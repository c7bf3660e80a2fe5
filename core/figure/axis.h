// One axis of a panel: its range, its ticks, and the room they need.
#pragma once

#include <string>
#include <vector>

#include "core/figure/figure.h"
#include "core/figure/scene.h"
#include "core/figure/ticks.h"

namespace kappascope {

struct AxisPlan : AxisSpan {
  std::vector<Tick> ticks;
  std::vector<double> minor;       // ticks without a label, of a log axis
  bool upright = false;            // labels of a horizontal axis turned by −90°
  double extent = 0;               // of the labels, away from the axis
  std::vector<std::string> title;  // name and unit, in lines
};

// What an axis may take, in points.
struct AxisRoom {
  double length = 0;             // of the axis
  double before = 0, after = 0;  // that its title may extend beyond its ends (left, above; right …)
  double upright = 62;           // of upright names
  std::size_t most_lines = 3;    // of the title

  // A text `width` long about `middle` (from the begin of the axis), moved inside.
  double inside(double middle, double width) const;
};

// "name (unit)"
std::string name_with_unit(const std::string& name, const std::string& unit);

// Whether any axis of a panel is logarithmic.
bool has_log_axis(const Figure& figure);

// Ends of the axis: as given, else of the marks, widened where there is no or one value.
void set_range(AxisPlan& plan, const Panel& panel, bool horizontal);

// Chooses ticks among what is in sight and title lines; `font` in points.
void plan_horizontal(AxisPlan& plan, const FigureAxis& axis, const AxisRoom& room, double font,
                     TextMeter& meter);
void plan_vertical(AxisPlan& plan, const FigureAxis& axis, const AxisRoom& room, double font,
                   TextMeter& meter);

inline double tick_size(double font) {
  return font - 1;
}
inline constexpr double kTickLength = 2, kTickGap = 1.8;  // points
inline constexpr double kMinorLength = 1.2, kMinorStroke = 0.35;
inline constexpr double kMinorGap = 2.2;  // between such ticks at least

// Room to the left of (below) the plot that the planned axis takes, in points.
double vertical_room(const AxisPlan& plan, double font);
double horizontal_room(const AxisPlan& plan, double font);

// Draws ticks, labels and title of an axis at the left (bottom) of `plot`. `title_right`: x of the
// right edge of the upright title block, so that titles of panels below each other align.
void draw_vertical(Painter& painter, const AxisPlan& plan, const Box& plot, const AxisRoom& room,
                   double font, double title_right);
void draw_horizontal(Painter& painter, const AxisPlan& plan, const Box& plot, const AxisRoom& room,
                     double font);

}  // namespace kappascope
