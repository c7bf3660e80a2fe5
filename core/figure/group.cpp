#include "core/figure/group.h"

#include <algorithm>
#include <cmath>

namespace kappascope {
namespace {

constexpr double kMm = 72 / 25.4;
constexpr double kGap = 8;         // points between panels that share an axis
constexpr double kBarGap = 5;      // above the colour bar
constexpr double kRight = 5;       // at the right of the plots at least
constexpr double kLeastPlot = 30;  // points of a plot's height

const HeatMap* cells_of(const Panel& panel) {
  return panel.heat_map.empty() || panel.heat_map[0].cells.empty() ? nullptr : &panel.heat_map[0];
}

// Where nothing is to be seen an axis would only seem to say something.
void leave_out(AxisPlan& axis) {
  axis.ticks.clear();
  axis.title.clear();
  axis.extent = 0;
}

// Rows of a heat map are low when many and never higher than wide maps look well with.
double cells_height(const HeatMap& map, double plot_width) {
  const double rows = static_cast<double>(map.rows);
  const double row = rows <= 8 ? 9 : rows <= 16 ? 7 : 5.2;
  return std::clamp(rows * row, 42.0, std::max(60.0, std::min(0.9 * plot_width, 260.0)));
}

}  // namespace

PanelGroup::PanelGroup(const PanelGroupPlan& plan, double font, TextMeter& meter)
    : colours_(plan.colours), scale_(plan.scale), font_(font), meter_(meter) {
  for (std::size_t i = 0; i < plan.panels.size(); ++i) {
    PlacedPanel placed;
    placed.panel = plan.panels[i];
    placed.x = plan.x[i];
    placed.y = plan.y[i];
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
  if (map && panel.square) { return std::min(plot_width, 230.0); }
  if (map) { return cells_height(*map, plot_width); }
  return std::clamp(0.62 * plot_width, 80.0, 150.0);
}

// Room that labels need to the right of the last plot.
double PanelGroup::overhang() const {
  double edge = 0, result = scale_ ? 1.3 * font_ : kRight;
  for (const PlacedPanel& placed : placed_) { edge = std::max(edge, placed.plot.right()); }
  for (const PlacedPanel& placed : placed_) {
    for (const Tick& tick : placed.x.ticks) {
      const double half = meter_.width(tick.label, tick_size(font_)) / 2;
      const double at = placed.plot.x + placed.x.share(tick.value) * placed.plot.width;
      result = std::max(result, at + (placed.x.upright ? 0.5 * font_ : half) + 1 - edge);
    }
  }
  for (const PlacedPanel& placed : placed_) {
    for (const ReferenceLine& line : placed.panel->references) {
      if (line.vertical || line.label.empty() || placed.plot.right() < edge) { continue; }
      const double label = meter_.width(reference_text(line, font_, meter_), tick_size(font_));
      result = std::max(result, kReferenceGap + label + 1);
    }
  }
  return std::min(result, 0.2 * width_);
}

// Widths of the plots and their horizontal axes.
void PanelGroup::plan_columns(double width) {
  double right = kRight;
  for (int round = 0; round < 2; ++round) {  // labels of the first round tell the right margin
    const double gaps = kGap * static_cast<double>(std::count_if(
                                   placed_.begin(), placed_.end(),
                                   [](const PlacedPanel& p) { return p.panel->beside; }));
    double main = std::max(10.0, (width - left_ - right - gaps) / (1 + beside_share()));
    if (placed_[0].panel->square) { main = std::min(main, placed_[0].plot.height); }
    double x = 0;
    for (PlacedPanel& placed : placed_) {
      const bool beside = placed.panel->beside;
      placed.plot.x = beside ? x + kGap : 0;
      placed.plot.width = beside ? main * placed.panel->share : main;
      x = std::max(x, placed.plot.right());
      plan_horizontal(placed.x, placed.panel->x, placed.plot.width, font_, meter_);
      if (is_empty(*placed.panel)) { leave_out(placed.x); }
    }
    right = overhang();
  }
  for (std::size_t i = 0; i < placed_.size(); ++i) {  // only the lowest of shared axes is labelled
    const bool covered =
        std::any_of(placed_.begin() + static_cast<std::ptrdiff_t>(i) + 1, placed_.end(),
                    [](const PlacedPanel& p) { return p.panel->below; });
    if (covered && !placed_[i].panel->beside) {
      placed_[i].x.ticks.clear();
      placed_[i].x.title.clear();
    }
    if (placed_[i].panel->beside) { placed_[i].y.title.clear(); }
  }
}

void PanelGroup::plan_bottom() {
  bottom_ = 0;
  for (const PlacedPanel& placed : placed_) {
    const double hidden = plots_height_ - placed.plot.bottom();
    bottom_ = std::max(bottom_, horizontal_room(placed.x, font_) - hidden);
  }
  has_bar_ = scale_ && scale_->has_bar() && colours_->any_value();
  if (!has_bar_) { return; }
  bar_ = plan_bar(*scale_, *colours_, placed_[0].plot.width, font_, meter_);
  bottom_ += kBarGap + bar_.height(font_);
}

void PanelGroup::plan(double width, double stretch) {
  width_ = width;
  const double natural = std::max(kLeastPlot / 2, natural_height(width - 6 * font_) * stretch);
  double y = 0;
  for (PlacedPanel& placed : placed_) {
    placed.plot.height = placed.panel->below ? natural * placed.panel->share : natural;
    if (placed.panel->below) { y += kGap; }
    placed.plot.y = placed.panel->beside ? 0 : y;
    y = std::max(y, placed.plot.bottom());
  }
  plots_height_ = y;
  left_ = 0;
  for (PlacedPanel& placed : placed_) {
    plan_vertical(placed.y, placed.panel->y, placed.plot.height, font_, meter_);
    if (is_empty(*placed.panel)) { leave_out(placed.y); }
    if (!placed.panel->beside) { left_ = std::max(left_, vertical_room(placed.y, font_)); }
    if (placed.panel->beside) { placed.y.ticks.clear(); }
  }
  left_ = std::min(left_, 0.5 * width);
  plan_columns(width);
  if (placed_[0].panel->square) { plots_height_ = placed_[0].plot.height = placed_[0].plot.width; }
  plan_bottom();
  std::vector<const Panel*> panels;
  for (const PlacedPanel& placed : placed_) { panels.push_back(placed.panel); }
  legend_ = plan_legend(keys_of(panels, colours_.get()), width - left_, font_, meter_);
  title_ = meter_.wrap(plain_text(panels[0]->title), width - left_, font_, false, 2);
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

void PanelGroup::draw_panel(Painter& painter, PlacedPanel& placed, std::vector<std::string>& notes,
                            double finest, std::size_t picture_bytes) {
  const Panel& panel = *placed.panel;
  const Box& plot = placed.plot;
  if (is_empty(panel)) {
    const std::string why = panel.empty.empty() ? "nothing to show: no value" : panel.empty;
    const auto lines = meter_.wrap(plain_text(why), plot.width - font_, font_, false, 3);
    double y = plot.y + plot.height / 2 - 0.6 * font_ * static_cast<double>(lines.size());
    for (const std::string& line : lines) {
      y += 1.2 * font_;
      const TextLook look{font_, Anchor::middle, false, false, kQuietInk};
      painter.text(line, {plot.x + plot.width / 2, y - 0.3 * font_}, look);
    }
  } else if (const HeatMap* map = cells_of(panel)) {
    painter.open("cells");
    const std::string done = draw_cells(painter, panel, *colours_, plot, finest, picture_bytes);
    if (!done.empty()) { notes.push_back(done); }
    draw_outlines(painter, *map, plot);
    draw_cell_names(painter, *map, *colours_, plot, font_ - 2);
    painter.close();
  }
  draw_marks(painter, placed, colours_.get(), font_);
  painter.open("frame");
  if (cells_of(panel) && !is_empty(panel)) {
    painter.frame(plot, kInk, 0.5);
  } else if (!is_empty(panel)) {
    painter.line({plot.x, plot.y}, {plot.x, plot.bottom()}, kInk, 0.5);
    painter.line({plot.x, plot.bottom()}, {plot.right(), plot.bottom()}, kInk, 0.5);
  }
  painter.close();
}

std::vector<std::string> PanelGroup::draw(Painter& painter, Point corner, const std::string& letter,
                                          double finest, std::size_t picture_bytes) {
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
    painter.open("plot-area", ++number);
    draw_panel(painter, placed, notes, finest, picture_bytes);
    painter.open("y-axis");
    draw_vertical(painter, placed.y, placed.plot, font_,
                  corner.x + 1.2 * font_ * static_cast<double>(placed.y.title.size()));
    painter.close();
    painter.open("x-axis");
    draw_horizontal(painter, placed.x, placed.plot, font_);
    painter.close();
    painter.close();
  }
  if (has_bar_) {
    painter.open("colour-bar");
    const Box& plot = placed_[0].plot;
    const double y = origin.y + plots_height_ + bottom_ - bar_.height(font_);
    draw_bar(painter, bar_, *colours_, {plot.x + plot.width / 2, y}, font_);
    painter.close();
  }
  return notes;
}

}  // namespace kappascope
