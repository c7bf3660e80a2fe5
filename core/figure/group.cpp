#include "core/figure/group.h"

#include <algorithm>
#include <cmath>

namespace kappascope {
namespace {

constexpr double kMm = 72 / 25.4;
constexpr double kGap = 8;             // points between panels that share an axis
constexpr double kBarGap = 5;          // above the colour bar
constexpr double kRight = 5;           // at the right of the plots at least
constexpr double kLeastPlot = 30;      // points of a plot's height
constexpr double kBrief = 130;         // points of a group's height under which words are few
constexpr double kMostUpright = 0.24;  // of that, for upright names
// Under coloured points on dark paper: their colours are made for light paper.
constexpr Paper kUnderValues{.paper = {236, 238, 241}};

const HeatMap* cells_of(const Panel& panel) {
  return panel.heat_map.empty() || panel.heat_map[0].cells.empty() ? nullptr : &panel.heat_map[0];
}

// Where nothing is to be seen an axis would only seem to say something.
void leave_out(AxisPlan& axis) {
  axis.ticks.clear();
  axis.minor.clear();
  axis.title.clear();
  axis.extent = 0;
}

// Rows of a heat map are low when many and never higher than wide maps look well with.
double cells_height(const HeatMap& map, double plot_width) {
  const double rows = static_cast<double>(map.rows);
  const double row = rows <= 8 ? 9 : rows <= 16 ? 7 : 5.2;
  return std::clamp(rows * row, 42.0, std::max(60.0, std::min(0.9 * plot_width, 260.0)));
}

// What a window has under the marks: paper, and lines at the ticks.
void draw_ground(Painter& painter, const PlacedPanel& placed) {
  const Box& plot = placed.plot;
  painter.add_as_is(SceneRect{plot, painter.paper().paper});
  if (placed.empty || cells_of(*placed.panel)) { return; }
  const auto line = [&](Point from, Point to) {
    ScenePath path;
    path.points = {from, to};
    path.stroke = painter.paper().grid;
    painter.add_as_is(std::move(path));
  };
  for (const Tick& tick : placed.y.ticks) {
    const double y = plot.bottom() - placed.y.share(tick.value) * plot.height;
    line({plot.x, y}, {plot.right(), y});
  }
  if (placed.panel->x.scale == Scale::category) { return; }
  for (const Tick& tick : placed.x.ticks) {
    const double x = plot.x + placed.x.share(tick.value) * plot.width;
    line({x, plot.y}, {x, plot.bottom()});
  }
}

bool has_coloured_points(const Panel& panel) {
  return std::any_of(panel.points.begin(), panel.points.end(),
                     [](const Points& points) { return !points.value.empty(); });
}

// The edges of a plot in a window are between pixels.
Box on_pixels(const Box& box, double pixel) {
  const auto near = [&](double at) { return std::round(at / pixel) * pixel; };
  const double x = near(box.x), y = near(box.y);
  return {x, y, near(box.right()) - x, near(box.bottom()) - y};
}

}  // namespace

PanelGroup::PanelGroup(const PanelGroupPlan& plan, const PanelSight* sights, double font,
                       TextMeter& meter, const Outlet& outlet)
    : group_(plan), font_(font), meter_(meter), outlet_(outlet) {
  for (std::size_t i = 0; i < plan.panels.size(); ++i) {
    PlacedPanel placed;
    placed.panel = plan.panels[i];
    placed.empty = plan.empty[i];
    static_cast<AxisSpan&>(placed.x) = sights ? sights[i].x : plan.x[i];
    static_cast<AxisSpan&>(placed.y) = sights ? sights[i].y : plan.y[i];
    placed_.push_back(std::move(placed));
  }
}

std::size_t PanelGroup::pictures() const {
  return static_cast<std::size_t>(
      std::count_if(placed_.begin(), placed_.end(), [](const PlacedPanel& placed) {
        const HeatMap* map = cells_of(*placed.panel);
        return map && map->rows * map->columns > kMostVectorCells;
      }));
}

bool PanelGroup::is_square() const {
  return placed_[0].panel->square && !outlet_.screen();
}

double PanelGroup::beside_share() const {
  double share = 0;
  for (const PlacedPanel& placed : placed_) {
    share += placed.panel->beside ? placed.panel->share : 0;
  }
  return share;
}

double PanelGroup::natural_height(double plot_width) const {
  const Panel& panel = *placed_[0].panel;
  if (panel.height_mm > 0) { return panel.height_mm * kMm; }
  const HeatMap* map = cells_of(panel);
  if (map && panel.square) { return std::min(plot_width, std::max(230.0, 0.66 * plot_width)); }
  if (map) { return cells_height(*map, plot_width); }
  return std::clamp(0.62 * plot_width, 80.0, 150.0);
}

// Room that labels need to the right of the last plot.
double PanelGroup::overhang() const {
  double edge = 0, result = group_.scale ? 1.3 * font_ : kRight;
  for (const PlacedPanel& placed : placed_) { edge = std::max(edge, placed.plot.right()); }
  for (const PlacedPanel& placed : placed_) {
    for (const Tick& tick : placed.x.ticks) {
      const double half = meter_.width(tick.label, tick_size(font_)) / 2;
      const double at = placed.plot.x + placed.x.share(tick.value) * placed.plot.width;
      result = std::max(result, at + (placed.x.upright ? 0.5 * font_ : half) + 1 - edge);
    }
  }
  for (const PlacedPanel& placed : placed_) {
    for (const std::string& line : placed.x.title) {  // a word may be wider than the plot
      const double half = (meter_.width(line, font_) - placed.plot.width) / 2;
      if (outlet_.screen()) { break; }
      result = std::max(result, placed.plot.right() + half + 1 - edge);
    }
    for (const ReferenceLine& line : placed.panel->references) {
      if (line.vertical || line.label.empty() || placed.plot.right() < edge) { continue; }
      const std::string label = reference_text(line, font_, meter_, outlet_.screen());
      result = std::max(result, kReferenceGap + meter_.width(label, tick_size(font_)) + 1);
    }
  }
  return std::min(result, (outlet_.screen() ? 0.5 : 0.2) * width_);
}

// Widths of the plots and their horizontal axes.
void PanelGroup::plan_columns(double width) {
  double right = kRight;
  for (int round = 0; round < 2; ++round) {  // labels of the first round tell the right margin
    const double gaps = kGap * static_cast<double>(std::count_if(
                                   placed_.begin(), placed_.end(),
                                   [](const PlacedPanel& p) { return p.panel->beside; }));
    double main = std::max(10.0, (width - left_ - right - gaps) / (1 + beside_share()));
    if (is_square()) { main = std::min(main, placed_[0].plot.height); }
    double x = 0;
    for (std::size_t i = 0; i < placed_.size(); ++i) {
      PlacedPanel& placed = placed_[i];
      const bool beside = placed.panel->beside;
      placed.plot.x = beside ? x + kGap : 0;
      placed.plot.width = beside ? main * placed.panel->share : main;
      x = std::max(x, placed.plot.right());
      plan_axis_rooms(i);
      plan_horizontal(placed.x, placed.panel->x, placed.x_room, font_, meter_);
      if (placed.empty) { leave_out(placed.x); }
    }
    right = overhang();
  }
  for (std::size_t i = 0; i < placed_.size(); ++i) {  // only the lowest of shared axes is labelled
    const bool covered =
        std::any_of(placed_.begin() + static_cast<std::ptrdiff_t>(i) + 1, placed_.end(),
                    [](const PlacedPanel& p) { return p.panel->below; });
    if (covered && !placed_[i].panel->beside) {
      placed_[i].x.ticks.clear();
      placed_[i].x.minor.clear();
      placed_[i].x.title.clear();
    }
    if (placed_[i].panel->beside) { placed_[i].y.title.clear(); }
  }
}

// In a window the title of an axis may extend as far as the next plot or the edge of the group.
void PanelGroup::plan_axis_rooms(std::size_t at) {
  PlacedPanel& placed = placed_[at];
  placed.x_room = {.length = placed.plot.width,
                   .upright = upright_,
                   .most_lines = outlet_.most_lines(placed.x_room.most_lines)};
  placed.y_room = {.length = placed.plot.height,
                   .most_lines = outlet_.most_lines(placed.y_room.most_lines)};
  if (!outlet_.screen()) { return; }
  const bool more_beside = at + 1 < placed_.size() && placed_[at + 1].panel->beside;
  placed.x_room.before = placed.panel->beside ? kGap / 2 : left_;
  placed.x_room.after =
      more_beside ? kGap / 2 : std::max(0.0, width_ - left_ - placed.plot.right());
  placed.y_room.before = placed.panel->below ? kGap / 2 : top_;
}

void PanelGroup::plan_bottom() {
  bottom_ = 0;
  for (const PlacedPanel& placed : placed_) {
    const double hidden = plots_height_ - placed.plot.bottom();
    bottom_ = std::max(bottom_, horizontal_room(placed.x, font_) - hidden);
  }
  has_bar_ = group_.scale && group_.scale->has_bar() && group_.colours->any_value();
  if (!has_bar_) { return; }
  BarRoom room{.width = placed_[0].plot.width, .notes = !brief_};
  room.most_lines = outlet_.most_lines(room.most_lines);
  if (outlet_.screen()) {
    room.before = left_;
    room.after = std::max(0.0, width_ - left_ - room.width);
  }
  bar_ = plan_bar(*group_.scale, *group_.colours, room, font_, meter_);
  bottom_ += kBarGap + bar_.height(font_);
}

void PanelGroup::plan(double width, double stretch) {
  settle(width, std::max(kLeastPlot / 2, natural_height(width - 6 * font_) * stretch));
}

void PanelGroup::fit(double width, double height) {
  brief_ = height < kBrief;
  upright_ = std::min(AxisRoom().upright, kMostUpright * height);
  double shares = 1, gaps = 0;
  for (const PlacedPanel& placed : placed_) {
    if (!placed.panel->below) { continue; }
    shares += placed.panel->share;
    gaps += kGap;
  }
  double first = height / (2 * shares);
  for (int round = 0; round < 3; ++round) {
    settle(width, first);
    first = std::max(kLeastPlot, (height - top_ - bottom_ - gaps) / shares);
  }
}

void PanelGroup::settle(double width, double first_height) {
  width_ = width;
  double y = 0;
  for (PlacedPanel& placed : placed_) {
    placed.plot.height = placed.panel->below ? first_height * placed.panel->share : first_height;
    if (placed.panel->below) { y += kGap; }
    placed.plot.y = placed.panel->beside ? 0 : y;
    y = std::max(y, placed.plot.bottom());
  }
  plots_height_ = y;
  double left = 0;
  for (std::size_t i = 0; i < placed_.size(); ++i) {
    PlacedPanel& placed = placed_[i];
    plan_axis_rooms(i);
    plan_vertical(placed.y, placed.panel->y, placed.y_room, font_, meter_);
    if (placed.empty) { leave_out(placed.y); }
    if (!placed.panel->beside) { left = std::max(left, vertical_room(placed.y, font_)); }
    if (placed.panel->beside) {
      placed.y.ticks.clear();
      placed.y.minor.clear();
    }
  }
  left_ = std::min(left, 0.5 * width);
  plan_columns(width);
  if (is_square()) { plots_height_ = placed_[0].plot.height = placed_[0].plot.width; }
  plan_bottom();
  if (!group_.shares_keys) {
    legend_ = plan_legend(group_.keys, width - left_, font_, meter_, outlet_.most_lines(1));
  }
  title_ = meter_.wrap(plain_text(placed_[0].panel->title), width - left_, font_, false,
                       outlet_.most_lines(2));
  top_ = 1.3 * font_ * static_cast<double>(title_.size()) + legend_.height(font_) + 0.5 * font_;
}

void PanelGroup::draw_head(Painter& painter, Point corner) {
  double y = corner.y;
  for (const std::string& line : title_) {
    y += 1.3 * font_;
    painter.text(line, {corner.x + left_, y - 0.3 * font_}, {font_});
  }
  const double legend = corner.y + top_ - 0.5 * font_ - legend_.height(font_);
  painter.open("legend");
  draw_legend(painter, legend_, {corner.x + left_, legend}, font_);
  painter.close();
}

std::size_t PanelGroup::draw_panel(Painter& painter, const PlacedPanel& placed,
                                   std::vector<std::string>& notes, std::size_t picture_bytes) {
  const Panel& panel = *placed.panel;
  const Box& plot = placed.plot;
  const bool light = outlet_.screen() && outlet_.paper.dark && has_coloured_points(panel);
  painter.use(light ? kUnderValues : outlet_.paper);
  if (outlet_.screen()) { draw_ground(painter, placed); }
  const std::size_t first_mark = painter.items();
  if (placed.empty) {
    const std::string why = panel.empty.empty() ? "nothing to show: no value" : panel.empty;
    const auto lines =
        meter_.wrap(plain_text(why), plot.width - font_, font_, false, outlet_.most_lines(3));
    double y = plot.y + plot.height / 2 - 0.6 * font_ * static_cast<double>(lines.size());
    for (const std::string& line : lines) {
      y += 1.2 * font_;
      const TextLook look{font_, Anchor::middle, false, false, kQuietInk};
      painter.text(line, {plot.x + plot.width / 2, y - 0.3 * font_}, look);
    }
  } else if (const HeatMap* map = cells_of(panel)) {
    painter.open("cells");
    const CellField field(*map, plot, placed.x, placed.y);
    const std::string done = draw_cells(painter, panel, *group_.colours, field, picture_bytes);
    if (!done.empty()) { notes.push_back(done); }
    draw_outlines(painter, field);
    draw_cell_names(painter, field, *group_.colours, font_ - 2);
    painter.close();
  }
  draw_marks(painter, placed, group_.colours.get(), font_);
  painter.use(outlet_.paper);
  painter.open("frame");
  if (cells_of(panel) && !placed.empty) {
    painter.frame(plot, kInk, 0.5);
  } else if (!placed.empty) {
    painter.line({plot.x, plot.y}, {plot.x, plot.bottom()}, kInk, 0.5);
    painter.line({plot.x, plot.bottom()}, {plot.right(), plot.bottom()}, kInk, 0.5);
  }
  painter.close();
  return first_mark;
}

// `left`: of the labels of the vertical axis.
ScenePanel PanelGroup::axes_of(const PlacedPanel& placed, double left) const {
  const Box& plot = placed.plot;
  ScenePanel axes{plot, placed.x, placed.y, {}, {}, placed.empty};
  if (!placed.x.ticks.empty() || !placed.x.title.empty()) {
    axes.x_labels = {plot.x, plot.bottom(), plot.width, horizontal_room(placed.x, font_)};
  }
  if (!placed.y.ticks.empty() || !placed.y.title.empty()) {
    axes.y_labels = {left, plot.y, plot.x - left, plot.height};
  }
  return axes;
}

std::vector<std::string> PanelGroup::draw(Painter& painter, Point corner, const std::string& letter,
                                          std::size_t picture_bytes) {
  std::vector<std::string> notes;
  const Point origin{corner.x + left_, corner.y + top_};
  if (!letter.empty()) {
    painter.text(letter, {corner.x, corner.y + font_}, {font_ + 1, Anchor::start, true});
  }
  draw_head(painter, corner);
  std::size_t number = 0;
  for (PlacedPanel& placed : placed_) {
    placed.plot.x += origin.x;
    placed.plot.y += origin.y;
    if (outlet_.screen()) { placed.plot = on_pixels(placed.plot, outlet_.pixel); }
    painter.open("plot-area", ++number);
    ScenePanel axes = axes_of(placed, corner.x);
    axes.first_mark = draw_panel(painter, placed, notes, picture_bytes);
    painter.open("y-axis");
    draw_vertical(painter, placed.y, placed.plot, placed.y_room, font_,
                  corner.x + 1.2 * font_ * static_cast<double>(placed.y.title.size()));
    painter.close();
    painter.open("x-axis");
    draw_horizontal(painter, placed.x, placed.plot, placed.x_room, font_);
    painter.close();
    painter.close();
    painter.add_panel(axes);
  }
  if (has_bar_) {
    painter.open("colour-bar");
    const Box& plot = placed_[0].plot;
    const double y = origin.y + plots_height_ + bottom_ - bar_.height(font_);
    draw_bar(painter, bar_, *group_.colours, {plot.x + plot.width / 2, y}, font_);
    painter.close();
  }
  return notes;
}

}  // namespace kappascope
