// A panel with those beside and below it, sharing its axes, legend and colour bar.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/figure/axis.h"
#include "core/figure/cells.h"
#include "core/figure/keys.h"
#include "core/figure/marks.h"
#include "core/figure/prepared.h"

namespace kappascope {

// Planned in two steps, because the room that labels take decides the size of the plots, and that
// decides which labels are drawn there.
class PanelGroup {
 public:
  // `sights`: what is in sight of each of its panels; null: everything. All are kept.
  PanelGroup(const PanelGroupPlan& plan, const PanelSight* sights, double font, TextMeter& meter,
             const Outlet& outlet);

  // Settles sizes for a width in points; heights of axes are multiplied by `stretch`.
  void plan(double width, double stretch);
  // Settles sizes so that all of it is `height` points high, if that leaves room for its axes.
  void fit(double width, double height);

  double plot_height() const { return plots_height_; }  // all axes from top to bottom
  double top() const { return top_; }                   // title and legend
  double height() const { return top_ + plots_height_ + bottom_; }
  void raise_top(double top) { top_ = top; }  // so that plots of a row are level

  // Draws with the top left corner at `corner`; `letter` "" for none. Returns notes.
  std::vector<std::string> draw(Painter& painter, Point corner, const std::string& letter,
                                std::size_t picture_bytes);

  std::size_t pictures() const;  // panels whose cells become pictures

 private:
  double natural_height(double plot_width) const;
  void settle(double width, double first_height);
  void plan_columns(double width);
  void plan_axis_rooms(std::size_t at);
  void plan_bottom();
  double overhang() const;
  double beside_share() const;
  bool is_square() const;  // a window is filled
  // Returns the index of the item that is the first on the ground.
  std::size_t draw_panel(Painter& painter, const PlacedPanel& placed,
                         std::vector<std::string>& notes, std::size_t picture_bytes);
  void draw_head(Painter& painter, Point corner);
  ScenePanel axes_of(const PlacedPanel& placed, double left) const;

  const PanelGroupPlan& group_;
  std::vector<PlacedPanel> placed_;  // boxes relative to the left end and the top of the plots
  double font_;
  TextMeter& meter_;
  const Outlet& outlet_;

  double width_ = 0, left_ = 0, top_ = 0, plots_height_ = 0, bottom_ = 0;
  double upright_ = AxisRoom().upright;
  std::vector<std::string> title_;
  LegendPlan legend_;
  bool has_bar_ = false, brief_ = false;  // brief: without words at the ends of the bar
  BarPlan bar_;
};

}  // namespace kappascope
