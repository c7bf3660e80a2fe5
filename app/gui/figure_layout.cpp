#include "app/gui/figure_layout.h"

#include <algorithm>
#include <cmath>

#include "app/gui/figure_keys.h"
#include "core/figure/text.h"

namespace kappascope::gui {
namespace {

constexpr std::size_t kMostColumns = 3;

float gap() {
  return 0.8f * em();
}

// Sizes of the plots of one group; the room that labels take decides them, and they decide which
// labels there are, hence two rounds.
class GroupLayout {
 public:
  GroupLayout(const PreparedFigure& figure, std::size_t index, const ScreenBox& area,
              const std::vector<PanelSight>& sights)
      : figure_(figure), group_(figure.groups[index]), keys_(figure.keys[index]) {
    place_.area = area;
    for (std::size_t i = 0; i < group_.panels.size(); ++i) {
      PanelPlace one;
      one.plot.panel = group_.panels[i];
      one.plot.x = sights[i].x;
      one.plot.y = sights[i].y;
      place_.panels.push_back(std::move(one));
    }
    has_bar_ = group_.scale && group_.scale->has_bar() && group_.colours->any_value();
  }

  GroupPlace run() {
    place_.brief = place_.area.height() < 18 * em();
    left_ = 5 * em();
    bottom_ = 2.6f * em();
    for (int round = 0; round < 3; ++round) {
      plan_head();
      plan_plots();
      plan_ticks_of_all();
    }
    plan_plots();
    for (PanelPlace& one : place_.panels) { set_pixels(one); }
    finish();
    return std::move(place_);
  }

 private:
  bool beside(std::size_t i) const { return group_.panels[i]->beside; }
  bool below(std::size_t i) const { return group_.panels[i]->below; }
  // Only the lowest of shared axes is labelled.
  bool covered(std::size_t i) const {
    if (beside(i)) { return false; }
    for (std::size_t k = i + 1; k < group_.panels.size(); ++k) {
      if (below(k)) { return true; }
    }
    return false;
  }

  void plan_head() {
    place_.title_top = place_.area.top;
    const float width = place_.area.width() - left_;
    const std::size_t lines = wrapped(plain_text(group_.panels[0]->title), width, em()).size();
    place_.legend_top = place_.title_top + (0.2f + 1.15f * float(lines)) * em();
    top_ = place_.legend_top + legend_height(keys_, width) + (keys_.empty() ? 0.25f : 0.45f) * em();
  }

  float bar_height() const {
    return colour_bar_height(*group_.scale, place_.area.width(), place_.brief);
  }

  void plan_plots() {
    float wide = 1, high = 1;
    int columns = 0, rows = 0;
    for (std::size_t i = 0; i < group_.panels.size(); ++i) {
      const auto share = static_cast<float>(group_.panels[i]->share);
      if (beside(i)) { wide += share, ++columns; }
      if (below(i)) { high += share, ++rows; }
    }
    const float bar = has_bar_ ? gap() + bar_height() : 0;
    float width =
        (place_.area.width() - left_ - right_ - static_cast<float>(columns) * gap()) / wide;
    float height =
        (place_.area.bottom - top_ - bottom_ - bar - static_cast<float>(rows) * gap()) / high;
    width = std::max(width, 2 * em());
    height = std::max(height, 2 * em());
    float x = place_.area.left + left_, y = top_;
    for (std::size_t i = 0; i < place_.panels.size(); ++i) {
      const auto share = static_cast<float>(group_.panels[i]->share);
      ScreenBox& box = place_.panels[i].plot.box;
      box.left = beside(i) ? x + gap() : place_.area.left + left_;
      box.right = box.left + (beside(i) ? width * share : width);
      box.top = below(i) ? y + gap() : top_;
      box.bottom = box.top + (below(i) ? height * share : height);
      box = {std::round(box.left), std::round(box.top), std::round(box.right),
             std::round(box.bottom)};
      x = std::max(x, box.right);
      if (!beside(i)) { y = std::max(y, box.bottom); }
    }
  }

  // As far as the next plot beside or below, else to the edge of the area.
  void plan_names(std::size_t i) {
    PanelPlace& one = place_.panels[i];
    const ScreenBox& box = one.plot.box;
    const bool more_beside = i + 1 < group_.panels.size() && beside(i + 1);
    const bool more_below = i + 1 < group_.panels.size() && below(i + 1);
    one.x_name = {beside(i) ? box.left - gap() / 2 : place_.area.left,
                  more_beside ? box.right + gap() / 2 : place_.area.right};
    one.y_name = {below(i) ? box.top - gap() / 2 : place_.area.top,
                  more_below ? box.bottom + gap() / 2 : box.bottom + bottom_};
  }

  static void set_pixels(PanelPlace& one) {
    const ScreenBox& box = one.plot.box;
    one.plot.x.begin = box.left;
    one.plot.x.end = box.right;
    one.plot.y.begin = box.bottom;
    one.plot.y.end = box.top;
  }

  void plan_ticks_of_all() {
    for (std::size_t i = 0; i < place_.panels.size(); ++i) { plan_names(i); }
    left_ = bottom_ = 0;
    right_ = 0.8f * em();
    const float upright = std::min(9 * em(), 0.24f * place_.area.height());
    for (std::size_t i = 0; i < place_.panels.size(); ++i) {
      PanelPlace& one = place_.panels[i];
      set_pixels(one);
      const Panel& panel = *one.plot.panel;
      one.x_named = !covered(i);
      one.y_named = !beside(i);
      one.x_ticks = covered(i) ? AxisTicks{} : plan_ticks(panel.x, one.plot.x, true, upright);
      one.y_ticks = beside(i) ? AxisTicks{} : plan_ticks(panel.y, one.plot.y, false, 0);
      if (one.y_named) { left_ = std::max(left_, axis_room(panel.y, one.y_ticks, one.y_name)); }
      if (one.x_named) { bottom_ = std::max(bottom_, axis_room(panel.x, one.x_ticks, one.x_name)); }
      overhang(one);
    }
    left_ = std::min(left_ + 0.2f * em(), 0.5f * place_.area.width());
    bottom_ += 0.2f * em();
  }

  // Labels may reach beyond the last plot on the right.
  void overhang(const PanelPlace& one) {
    for (const Tick& tick : one.x_ticks.ticks) {
      const float half =
          one.x_ticks.upright ? 0.5f * em() : text_width(tick.label, figure_font().tick) / 2;
      const float edge = place_.area.right - right_;
      const float room = one.plot.x.pixel(tick.value) + half + 2 - one.plot.box.right;
      if (one.plot.box.right >= edge - em()) { right_ = std::max(right_, room); }
    }
    right_ = std::max(right_, reference_room(*one.plot.panel));
  }

  void finish() {
    for (std::size_t i = 0; i < place_.panels.size(); ++i) { plan_names(i); }
    float low = top_;
    for (PanelPlace& one : place_.panels) {
      low = std::max(low, one.plot.box.bottom);
      one.y_strip = {place_.area.left, one.plot.box.top, one.plot.box.left, one.plot.box.bottom};
      one.x_strip = {one.plot.box.left, one.plot.box.bottom, one.plot.box.right,
                     one.plot.box.bottom + bottom_};
    }
    if (!has_bar_) { return; }
    const float top = low + bottom_ + 0.3f * em();
    const ScreenBox& first = place_.panels[0].plot.box;
    place_.bar = {first.left, top, first.right, top + bar_height()};
  }

  const PreparedFigure& figure_;
  const PanelGroupPlan& group_;
  const std::vector<Key>& keys_;
  GroupPlace place_;
  bool has_bar_ = false;
  float left_ = 0, right_ = 0, top_ = 0, bottom_ = 0;
};

// Below that a group cannot be read.
float least_height(const PanelGroupPlan& group) {
  float plots = 5 * em();
  for (const Panel* panel : group.panels) { plots += panel->below ? 3.5f * em() : 0; }
  return plots + 4 * em() + (group.scale ? 3 * em() : 0);
}

constexpr float kLeastWidth = 11;  // em

// How much of a comfortable size the groups have in so many columns; below 1 some cannot be read.
float comfort(const PreparedFigure& figure, const ScreenBox& area, std::size_t columns,
              float between) {
  const std::size_t rows = (figure.groups.size() + columns - 1) / columns;
  const auto n = static_cast<float>(columns), m = static_cast<float>(rows);
  float least = 0;
  for (const PanelGroupPlan& group : figure.groups) {
    least = std::max(least, least_height(group));
  }
  const float width = (area.width() - (n - 1) * between) / n;
  const float height = (area.height() - (m - 1) * between) / m;
  return std::min(width / (kLeastWidth * em()), height / least);
}

}  // namespace

std::vector<ScreenBox> arrange_groups(const PreparedFigure& figure, const ScreenBox& area) {
  const std::size_t count = figure.groups.size();
  const float between = 1.2f * em();
  std::size_t columns = 1;
  for (std::size_t more = 2; more <= std::min(count, kMostColumns); ++more) {
    if (comfort(figure, area, more, between) > comfort(figure, area, columns, between)) {
      columns = more;
    }
  }
  const std::size_t rows = (count + columns - 1) / columns;
  float least = 0;
  for (const PanelGroupPlan& group : figure.groups) {
    least = std::max(least, least_height(group));
  }
  const auto m = static_cast<float>(rows);
  const float height = std::max(least, (area.height() - (m - 1) * between) / m);
  std::vector<ScreenBox> boxes;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = i / columns, column = i % columns;
    // The groups of a last row that is not full share its width.
    const auto across = static_cast<float>(std::min(columns, count - row * columns));
    const float share = (area.width() - (across - 1) * between) / across;
    const float x = area.left + static_cast<float>(column) * (share + between);
    const float y = area.top + static_cast<float>(row) * (height + between);
    boxes.push_back({x, y, x + share, y + height});
  }
  return boxes;
}

GroupPlace lay_out_group(const PreparedFigure& figure, std::size_t group, const ScreenBox& area,
                         const std::vector<PanelSight>& sights) {
  return GroupLayout(figure, group, area, sights).run();
}

}  // namespace kappascope::gui
