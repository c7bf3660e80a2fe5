#include "app/gui/figure_view.h"

#include <implot.h>

#include <algorithm>
#include <cmath>

#include "app/gui/figure_hands.h"
#include "app/gui/figure_keys.h"
#include "app/gui/figure_layout.h"
#include "core/figure/readout.h"
#include "core/figure/text.h"

namespace kappascope::gui {
namespace {

constexpr double kZoomStep = 1.15;  // a notch of the wheel
constexpr float kDragPixels = 4;    // less is a click

bool is_category(const FigureAxis& axis) {
  return axis.scale == Scale::category;
}

class View {
 public:
  View(const Subject& selection, const Theme& theme, FigureViewState& state)
      : figure_(*state.shown),
        selection_(selection),
        theme_(theme),
        state_(state),
        hands_(figure_, state) {
    light_.paper = IM_COL32(236, 238, 241, 255);
  }

  std::optional<Subject> draw(const ScreenBox& area) {
    if (std::find(figure_.empty.begin(), figure_.empty.end(), false) == figure_.empty.end()) {
      draw_reason(list(), *figure_.groups[0].panels[0], area, theme_);  // no axes without values
      return {};
    }
    click_ = hands_.follow(state_.keys, selection_);
    const std::vector<ScreenBox> boxes = arrange_groups(figure_, area);
    for (std::size_t g = 0; g < boxes.size(); ++g) { draw_group(g, boxes[g]); }
    if (!boxes.empty()) {  // the extent, for scrolling
      ImGui::SetCursorScreenPos({area.left, boxes.back().bottom});
      ImGui::Dummy({1, 0});
    }
    hands_.share();
    return click_;
  }

 private:
  std::size_t index_of(const Panel& panel) const {
    return static_cast<std::size_t>(&panel - figure_.figure.panels.data());
  }
  AxisHand hand(const PanelGroupPlan& group, std::size_t i, bool horizontal) {
    return hands_.hand(group, i, horizontal);
  }

  AxisView sight(const AxisHand& hand) const { return {hand.span.low, hand.span.high, hand.log}; }

  void draw_group(std::size_t g, const ScreenBox& area) {
    const PanelGroupPlan& group = figure_.groups[g];
    std::vector<PanelSight> sights;
    for (std::size_t i = 0; i < group.panels.size(); ++i) {
      sights.push_back({sight(hand(group, i, true)), sight(hand(group, i, false))});
    }
    GroupPlace place = lay_out_group(figure_, g, area, sights);
    // What the user does changes what is in sight, and with it the ticks.
    bool moved = false;
    for (std::size_t i = 0; i < group.panels.size(); ++i) {
      moved |= handle(group, i, place.panels[i]);
    }
    if (moved) {
      for (std::size_t i = 0; i < group.panels.size(); ++i) {
        sights[i] = {sight(hand(group, i, true)), sight(hand(group, i, false))};
      }
      place = lay_out_group(figure_, g, area, sights);
    }
    draw_head(g, place);
    for (std::size_t i = 0; i < group.panels.size(); ++i) { draw_panel(group, place.panels[i]); }
    if (place.bar.height() > 0) {
      draw_colour_bar(list(), *group.scale, *group.colours, place.bar, place.area, place.brief,
                      theme_);
    }
  }

  static ImDrawList& list() { return *ImGui::GetWindowDrawList(); }

  void draw_head(std::size_t g, const GroupPlace& place) {
    const PanelGroupPlan& group = figure_.groups[g];
    const float left = place.panels[0].plot.box.left, width = place.area.right - left;
    const std::string& title = group.panels[0]->title;
    if (!title.empty()) {
      float top = place.title_top;
      for (const std::string& line : wrapped(plain_text(title), width, em())) {
        add_text(list(), {left, top}, em(), theme_.text, line);
        top += 1.15f * em();
      }
    }
    const bool cells = std::any_of(group.panels.begin(), group.panels.end(),
                                   [](const Panel* panel) { return !panel->heat_map.empty(); });
    draw_legend(list(), figure_.keys[g], {left, place.legend_top}, width, cells, theme_);
  }

  // Wheel, drag and double click over a plot or the text of an axis. True when something moved.
  bool handle(const PanelGroupPlan& group, std::size_t i, const PanelPlace& place) {
    bool moved = false;
    const std::size_t panel = index_of(*group.panels[i]);
    moved |= handle_box(group, i, place.plot.box, "plot", panel, true, true);
    if (place.x_named) { moved |= handle_box(group, i, place.x_strip, "x", panel, true, false); }
    if (place.y_named) { moved |= handle_box(group, i, place.y_strip, "y", panel, false, true); }
    return moved;
  }

  bool handle_box(const PanelGroupPlan& group, std::size_t i, const ScreenBox& box,
                  const char* name, std::size_t panel, bool along_x, bool along_y) {
    if (box.width() < 1 || box.height() < 1) { return false; }
    ImGui::SetCursorScreenPos({box.left, box.top});
    const std::string id = std::string("###") + name + std::to_string(panel);
    const bool released = ImGui::InvisibleButton(id.c_str(), {box.width(), box.height()});
    const bool hovered = ImGui::IsItemHovered(), held = ImGui::IsItemActive();
    ImGui::SetItemKeyOwner(ImGuiKey_MouseWheelY);
    ImGui::SetItemKeyOwner(ImGuiKey_MouseWheelX);
    const ImGuiIO& io = ImGui::GetIO();
    if (along_x && along_y) {
      if (hovered && !held) { hovered_ = panel; }
      const bool still = io.MouseDragMaxDistanceSqr[0] < kDragPixels * kDragPixels;
      if (released && still) { clicked_ = panel; }
    }
    if (hovered && ImGui::IsMouseDoubleClicked(ImGuiMouseButton_Left)) {
      if (along_x) { hand(group, i, true).reset(); }
      if (along_y) { hand(group, i, false).reset(); }
      return true;
    }
    bool moved = false;
    const double across = (io.MousePos.x - box.left) / box.width();
    const double up = (box.bottom - io.MousePos.y) / box.height();
    if (hovered && io.MouseWheel != 0) {
      const double factor = std::pow(kZoomStep, -static_cast<double>(io.MouseWheel));
      if (along_x) { hand(group, i, true).zoom(factor, across); }
      if (along_y) { hand(group, i, false).zoom(factor, up); }
      moved = true;
    }
    if (hovered && along_x && io.MouseWheelH != 0) {
      hand(group, i, true).pan(-0.08 * io.MouseWheelH);
      moved = true;
    }
    if (held && ImGui::IsMouseDragging(ImGuiMouseButton_Left, kDragPixels)) {
      if (along_x) {
        hand(group, i, true).pan(-io.MouseDelta.x / static_cast<double>(box.width()));
      }
      if (along_y) {
        hand(group, i, false).pan(io.MouseDelta.y / static_cast<double>(box.height()));
      }
      moved = io.MouseDelta.x != 0 || io.MouseDelta.y != 0;
    }
    return moved;
  }

  void draw_panel(const PanelGroupPlan& group, PanelPlace& place) {
    const Panel& panel = *place.plot.panel;
    const std::size_t index = index_of(panel);
    const ScreenBox& box = place.plot.box;
    ImGui::SetCursorScreenPos({box.left, box.top});
    ImPlot::PushStyleVar(ImPlotStyleVar_PlotPadding, ImVec2(0, 0));
    ImPlot::PushStyleVar(ImPlotStyleVar_PlotBorderSize, 0.0f);
    ImPlot::PushStyleVar(ImPlotStyleVar_PlotMinSize, ImVec2(1, 1));
    const Theme& inside = theme_inside(panel);
    ImPlot::PushStyleColor(ImPlotCol_PlotBg, inside.paper);
    constexpr ImPlotFlags kFlags =
        ImPlotFlags_CanvasOnly | ImPlotFlags_NoInputs | ImPlotFlags_NoFrame;
    const std::string id = "##canvas" + std::to_string(index);
    if (ImPlot::BeginPlot(id.c_str(), {box.width(), box.height()}, kFlags)) {
      set_up_axis(ImAxis_X1, place.plot.x);
      set_up_axis(ImAxis_Y1, place.plot.y);
      ImPlot::SetupFinish();
      ImPlot::PushPlotClipRect();
      draw_inside(group, place, index, inside);
      ImPlot::PopPlotClipRect();
      ImPlot::EndPlot();
    }
    ImPlot::PopStyleColor();
    ImPlot::PopStyleVar(3);
    draw_frame(panel, place);
    if (hovered_ == index || clicked_ == index) { point_at(place.plot, index); }
  }

  static void set_up_axis(ImAxis axis, const AxisView& view) {
    constexpr ImPlotAxisFlags kFlags = ImPlotAxisFlags_NoDecorations | ImPlotAxisFlags_NoMenus |
                                       ImPlotAxisFlags_NoHighlight | ImPlotAxisFlags_NoInitialFit;
    ImPlot::SetupAxis(axis, nullptr, kFlags);
    if (view.log) { ImPlot::SetupAxisScale(axis, ImPlotScale_Log10); }
    ImPlot::SetupAxisLimits(axis, view.low, view.high, ImPlotCond_Always);
  }

  // Colours of values are made for light paper, of cells and dots alike.
  const Theme& theme_inside(const Panel& panel) const {
    const bool coloured = std::any_of(panel.points.begin(), panel.points.end(),
                                      [](const Points& points) { return !points.value.empty(); });
    return coloured && theme_.dark ? light_ : theme_;
  }

  void draw_inside(const PanelGroupPlan& group, const PanelPlace& place, std::size_t index,
                   const Theme& inside) {
    const PlotPlace& plot = place.plot;
    const Panel& panel = *plot.panel;
    ImDrawList& to = *ImPlot::GetPlotDrawList();
    if (figure_.empty[index]) { return draw_reason(to, panel, plot.box, theme_); }
    if (panel.heat_map.empty()) {
      draw_grid(to, place, inside);
      draw_selection(to, figure_.figure, plot, selection_, inside);
    }
    if (state_.tiles[index]) {
      const double width = plot.x.position_pixels(), height = plot.y.position_pixels();
      const CellPlace cells{plot.box.left - (plot.x.low + 0.5) * width,
                            plot.box.bottom + (plot.y.low + 0.5) * height, width, height};
      state_.tiles[index]->draw(to, cells, plot.box);
      draw_cell_marks(to, plot, panel.heat_map[0], *group.colours);
    }
    draw_marks(to, plot, group.colours.get(), selection_, inside, state_.clouds[index]);
    if (!panel.heat_map.empty()) { draw_selection(to, figure_.figure, plot, selection_, inside); }
  }

  void draw_grid(ImDrawList& to, const PanelPlace& place, const Theme& inside) const {
    const ScreenBox& box = place.plot.box;
    const ImU32 faint = (inside.line & ~IM_COL32_A_MASK) | (110u << IM_COL32_A_SHIFT);
    for (const Tick& tick : place.y_ticks.ticks) {
      const float y = std::round(place.plot.y.pixel(tick.value));
      to.AddLine({box.left, y}, {box.right, y}, faint);
    }
    if (is_category(place.plot.panel->x)) { return; }
    for (const Tick& tick : place.x_ticks.ticks) {
      const float x = std::round(place.plot.x.pixel(tick.value));
      to.AddLine({x, box.top}, {x, box.bottom}, faint);
    }
  }

  void draw_frame(const Panel& panel, const PanelPlace& place) {
    ImDrawList& to = list();
    const ScreenBox& box = place.plot.box;
    if (!panel.heat_map.empty() || figure_.empty[index_of(panel)]) {
      to.AddRect({box.left - 1, box.top - 1}, {box.right + 1, box.bottom + 1}, theme_.line);
    } else {
      to.AddLine({box.left, box.top}, {box.left, box.bottom}, theme_.quiet_text);
      to.AddLine({box.left, box.bottom}, {box.right, box.bottom}, theme_.quiet_text);
    }
    draw_reference_labels(to, place.plot, theme_);
    if (place.x_named) {
      draw_axis_x(to, panel.x, place.plot.x, place.x_ticks, box, place.x_name, theme_);
    }
    if (place.y_named) {
      draw_axis_y(to, panel.y, place.plot.y, place.y_ticks, box, place.y_strip.left, place.y_name,
                  theme_);
    }
  }

  // What is under the pointer: words, a crosshair over cells, and the choice of a click.
  void point_at(const PlotPlace& plot, std::size_t index) {
    const ImVec2 mouse = ImGui::GetIO().MousePos;
    if (!plot.box.contains(mouse) || figure_.empty[index]) { return; }
    const float finger = 0.45f * em();
    const double x = plot.x.at_pixel(mouse.x), y = plot.y.at_pixel(mouse.y);
    const CellBlock block = state_.tiles[index] ? state_.tiles[index]->block() : CellBlock{};
    const std::optional<Readout> found =
        readout(figure_.figure, index, x, y, reach(plot.panel->x, plot.x, mouse.x, finger),
                reach(plot.panel->y, plot.y, mouse.y, finger), block);
    if (!found) { return; }
    if (!plot.panel->heat_map.empty()) { draw_crosshair(plot, x, y); }
    if (clicked_ == index && found->subject.any()) { click_ = found->subject; }
    if (hovered_ != index || !ImGui::BeginTooltip()) { return; }
    for (const std::string& line : found->lines) { ImGui::TextUnformatted(line.c_str()); }
    ImGui::EndTooltip();
  }

  // readout() takes logarithms on a logarithmic axis, however it is drawn.
  static double reach(const FigureAxis& axis, AxisView view, float pixel, float finger) {
    if (axis.scale != Scale::log) { return view.reach(pixel, finger); }
    const double low = std::min(view.at_pixel(pixel - finger), view.at_pixel(pixel + finger));
    const double high = std::max(view.at_pixel(pixel - finger), view.at_pixel(pixel + finger));
    return low > 0 ? std::log(high / low) / 2 : 1;
  }

  void draw_crosshair(const PlotPlace& plot, double x, double y) {
    const double column = std::floor(x + 0.5), row = std::floor(y + 0.5);
    const ScreenBox cell{plot.x.pixel(column - 0.5), plot.y.pixel(row + 0.5),
                         plot.x.pixel(column + 0.5), plot.y.pixel(row - 0.5)};
    ImDrawList& to = list();
    to.PushClipRect({plot.box.left, plot.box.top}, {plot.box.right, plot.box.bottom}, true);
    const float cx = std::round((cell.left + cell.right) / 2);
    const float cy = std::round((cell.top + cell.bottom) / 2);
    for (const auto& [dark, shift] :
         {std::pair{IM_COL32(0, 0, 0, 90), 1.0f}, std::pair{IM_COL32(255, 255, 255, 150), 0.0f}}) {
      to.AddLine({plot.box.left, cy + shift}, {cell.left, cy + shift}, dark);
      to.AddLine({cell.right, cy + shift}, {plot.box.right, cy + shift}, dark);
      to.AddLine({cx + shift, plot.box.top}, {cx + shift, cell.top}, dark);
      to.AddLine({cx + shift, cell.bottom}, {cx + shift, plot.box.bottom}, dark);
      to.AddRect({cell.left - shift, cell.top - shift}, {cell.right + shift, cell.bottom + shift},
                 dark);
    }
    to.PopClipRect();
  }

  const PreparedFigure& figure_;
  const Subject& selection_;
  const Theme& theme_;
  Theme light_ = gui::theme(false);
  FigureViewState& state_;
  FigureHands hands_;
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t hovered_ = kNone, clicked_ = kNone;
  std::optional<Subject> click_;
};

// The same panels with the same ends: what was zoomed into stays in sight.
bool same_axes(const PreparedFigure& a, const PreparedFigure& b) {
  if (a.groups.size() != b.groups.size() || a.figure.id != b.figure.id) { return false; }
  const auto same = [](const std::vector<AxisPlan>& p, const std::vector<AxisPlan>& q) {
    return std::equal(p.begin(), p.end(), q.begin(), q.end(),
                      [](const AxisPlan& one, const AxisPlan& other) {
                        return one.low == other.low && one.high == other.high;
                      });
  };
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    if (!same(a.groups[g].x, b.groups[g].x) || !same(a.groups[g].y, b.groups[g].y)) {
      return false;
    }
  }
  return true;
}

void take(FigureViewState& state, const std::shared_ptr<const PreparedFigure>& figure) {
  state.fit = state.fit || !state.shown || !same_axes(*state.shown, *figure);
  state.shown = figure;
  state.clouds.assign(figure->figure.panels.size(), {});
  state.tiles.clear();
  for (const auto& cells : figure->cells) {
    state.tiles.push_back(cells ? std::make_unique<CellTiles>(cells) : nullptr);
  }
}

void fit(FigureViewState& state) {
  state.x.clear();
  state.y.clear();
  for (const PanelGroupPlan& group : state.shown->groups) {
    for (std::size_t i = 0; i < group.panels.size(); ++i) {
      state.x.push_back({group.x[i].low, group.x[i].high});
      state.y.push_back({group.y[i].low, group.y[i].high});
    }
  }
  state.fit = false;
}

}  // namespace

bool is_incomplete(const FigureViewState& state) {
  return std::any_of(state.tiles.begin(), state.tiles.end(),
                     [](const auto& tiles) { return tiles && tiles->incomplete(); });
}

std::optional<Subject> draw_figure(const char* id,
                                   const std::shared_ptr<const PreparedFigure>& figure,
                                   const Subject& selection, const Theme& theme,
                                   FigureViewState& state, ImVec2 size) {
  if (figure && figure != state.shown && !figure->groups.empty()) { take(state, figure); }
  if (!state.shown) { return {}; }
  if (state.fit) { fit(state); }
  std::optional<Subject> click;
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(0, 0));
  const bool seen = ImGui::BeginChild(id, size, ImGuiChildFlags_None,
                                      ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoNav);
  ImGui::PopStyleVar();
  const ImVec2 corner = ImGui::GetCursorScreenPos(), room = ImGui::GetContentRegionAvail();
  if (seen && room.x > 4 * em() && room.y > 2 * em()) {
    const ScreenBox area{corner.x, corner.y, corner.x + room.x, corner.y + room.y};
    click = View(selection, theme, state).draw(area);
  }
  ImGui::EndChild();
  return click;
}

PlotContext::PlotContext() {
  ImPlot::CreateContext();
}

PlotContext::~PlotContext() {
  release_tiles();
  ImPlot::DestroyContext();
}

}  // namespace kappascope::gui
