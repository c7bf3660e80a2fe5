#include "app/gui/figure_view.h"

#include <algorithm>
#include <cmath>

#include "app/gui/figure_hands.h"
#include "app/gui/scene_drawer.h"
#include "core/figure/readout.h"
#include "core/figure/screen_layout.h"

namespace kappascope::gui {
namespace {

constexpr double kZoomStep = 1.15;  // a notch of the wheel
constexpr float kDragPixels = 4;    // less is a click

// One axis of a panel on the screen.
struct AxisPixels {
  AxisSpan span;
  float begin = 0, end = 1;  // vertical: begin is below

  // Values far outside stop a plot's size away, so that coordinates stay small.
  float pixel(double value) const {
    const double share = std::clamp(span.share(value), -1.0, 2.0);
    return static_cast<float>(begin + share * (static_cast<double>(end) - begin));
  }
  double value(float pixel) const {
    return span.value((static_cast<double>(pixel) - begin) / (static_cast<double>(end) - begin));
  }
};

// A panel on the screen.
struct PanelPixels {
  const Panel& panel;
  ScreenBox box;
  AxisPixels x, y;

  bool has_cells() const { return !panel.heat_map.empty(); }
  ScreenBox cell(double row, double column) const {
    return {x.pixel(column - 0.5), y.pixel(row + 0.5), x.pixel(column + 0.5), y.pixel(row - 0.5)};
  }
};

bool is_chosen(const Subject& point, const Subject& selection) {
  return selection.token >= 0 && point.token == selection.token &&
         (point.row < 0 || selection.row < 0 || point.row == selection.row);
}

// Half a finger's width about `pixel` as readout() wants it: of logarithms on a logarithmic axis,
// however it is drawn.
double reach(const FigureAxis& axis, const AxisPixels& at, float pixel, float finger) {
  const auto [low, high] = std::minmax({at.value(pixel - finger), at.value(pixel + finger)});
  if (axis.scale != Scale::log) { return (high - low) / 2; }
  return low > 0 ? std::log(high / low) / 2 : 1;
}

class View {
 public:
  View(const Subject& selection, const Theme& theme, FigureViewState& state, const ScreenBox& area)
      : figure_(*state.shown),
        selection_(selection),
        theme_(theme),
        state_(state),
        hands_(figure_, state),
        area_(area),
        place_{{area.left, area.top}, point_pixels()} {}

  std::optional<Subject> draw() {
    click_ = hands_.follow(state_.keys, selection_);
    lay_out();
    std::size_t panel = 0;
    bool moved = false;
    for (const PanelGroupPlan& group : figure_.groups) {
      for (std::size_t i = 0; i < group.panels.size(); ++i) { moved |= handle(group, i, panel++); }
    }
    if (moved) { lay_out(); }
    choose_points();
    draw_items();
    for (panel = 0; panel < scene().panels.size(); ++panel) { draw_over(panel); }
    // The extent, for scrolling.
    ImGui::SetCursorScreenPos({area_.left, area_.top + float(scene().height) * place_.scale});
    ImGui::Dummy({1, 0});
    hands_.share();
    return click_;
  }

 private:
  static ImDrawList& list() { return *ImGui::GetWindowDrawList(); }
  const Scene& scene() const { return state_.laid_out.scene; }

  void lay_out() {
    LaidOutFigure wanted;
    for (const PanelGroupPlan& group : figure_.groups) {
      for (std::size_t i = 0; i < group.panels.size(); ++i) {
        wanted.sights.push_back(
            {hands_.hand(group, i, true).sight(), hands_.hand(group, i, false).sight()});
      }
    }
    wanted.scale = place_.scale;
    wanted.width = area_.width() / wanted.scale;
    wanted.height = area_.height() / wanted.scale;
    wanted.theme = &theme_;
    wanted.fonts = ImGui::GetIO().Fonts->Sources.Size;
    const LaidOutFigure& kept = state_.laid_out;
    if (wanted.sights == kept.sights && wanted.scale == kept.scale && wanted.width == kept.width &&
        wanted.height == kept.height && wanted.theme == kept.theme && wanted.fonts == kept.fonts) {
      return;
    }
    ScreenTextMeter meter(wanted.scale);
    const Outlet outlet{.pixel = 1 / wanted.scale, .paper = paper_of(theme_)};
    wanted.scene =
        lay_out_screen(figure_, wanted.sights, wanted.width, wanted.height, outlet, meter);
    state_.laid_out = std::move(wanted);
  }

  // What is selected is under curves and bars, and over cells.
  void draw_items() {
    std::size_t begin = 0;
    for (std::size_t panel = 0; panel < scene().panels.size(); ++panel) {
      const ScenePanel& at = scene().panels[panel];
      draw_scene(list(), scene(), begin, at.first_mark, place_, state_.tiles);
      if (!at.empty && !pixels(panel).has_cells()) {
        const ScreenBox box = place_.box(at.plot);
        list().PushClipRect({box.left, box.top}, {box.right, box.bottom}, true);
        draw_selection(panel);
        list().PopClipRect();
      }
      begin = at.first_mark;
    }
    draw_scene(list(), scene(), begin, scene().items.size(), place_, state_.tiles);
  }

  PanelPixels pixels(std::size_t panel) const {
    const ScenePanel& at = scene().panels[panel];
    const ScreenBox box = place_.box(at.plot);
    return {figure_.figure.panels[panel],
            box,
            {at.x, box.left, box.right},
            {at.y, box.bottom, box.top}};
  }

  // Wheel, drag and double click over a plot or the text of an axis. True when something moved.
  bool handle(const PanelGroupPlan& group, std::size_t i, std::size_t panel) {
    const ScenePanel& at = scene().panels[panel];
    bool moved = handle_box(group, i, at.plot, "plot", panel, true, true);
    moved |= handle_box(group, i, at.x_labels, "x", panel, true, false);
    moved |= handle_box(group, i, at.y_labels, "y", panel, false, true);
    return moved;
  }

  bool handle_box(const PanelGroupPlan& group, std::size_t i, const Box& where, const char* name,
                  std::size_t panel, bool along_x, bool along_y) {
    const ScreenBox box = place_.box(where);
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
      if (along_x) { hands_.hand(group, i, true).reset(); }
      if (along_y) { hands_.hand(group, i, false).reset(); }
      return true;
    }
    bool moved = false;
    const double across = (io.MousePos.x - box.left) / box.width();
    const double up = (box.bottom - io.MousePos.y) / box.height();
    if (hovered && io.MouseWheel != 0) {
      const double factor = std::pow(kZoomStep, -static_cast<double>(io.MouseWheel));
      if (along_x) { hands_.hand(group, i, true).zoom(factor, across); }
      if (along_y) { hands_.hand(group, i, false).zoom(factor, up); }
      moved = true;
    }
    if (hovered && along_x && io.MouseWheelH != 0) {
      hands_.hand(group, i, true).pan(-0.08 * io.MouseWheelH);
      moved = true;
    }
    if (held && ImGui::IsMouseDragging(ImGuiMouseButton_Left, kDragPixels)) {
      if (along_x) {
        hands_.hand(group, i, true).pan(-io.MouseDelta.x / static_cast<double>(box.width()));
      }
      if (along_y) {
        hands_.hand(group, i, false).pan(io.MouseDelta.y / static_cast<double>(box.height()));
      }
      moved = io.MouseDelta.x != 0 || io.MouseDelta.y != 0;
    }
    return moved;
  }

  // The points of the selection, found again when it or the scene has changed.
  void choose_points() {
    LaidOutFigure& laid = state_.laid_out;
    if (laid.chosen.size() == scene().panels.size() && laid.selection == selection_) { return; }
    laid.selection = selection_;
    laid.chosen.assign(scene().panels.size(), {});
    for (std::size_t panel = 0; panel < laid.chosen.size(); ++panel) {
      const ScenePanel& at = scene().panels[panel];
      for (const Points& points : figure_.figure.panels[panel].points) {
        for (std::size_t i = 0; i < points.subjects.size(); ++i) {
          if (!is_chosen(points.subjects[i], selection_)) { continue; }
          const double x = at.x.share(points.x[i]), y = at.y.share(points.y[i]);
          if (!(x >= 0 && x <= 1 && y >= 0 && y <= 1)) { continue; }
          laid.chosen[panel].push_back(
              {at.plot.x + x * at.plot.width, at.plot.bottom() - y * at.plot.height});
        }
      }
    }
  }

  // What is selected and what is under the pointer.
  void draw_over(std::size_t index) {
    if (scene().panels[index].empty) { return; }
    const PanelPixels panel = pixels(index);
    list().PushClipRect({panel.box.left, panel.box.top}, {panel.box.right, panel.box.bottom}, true);
    for (const Point& point : state_.laid_out.chosen[index]) {
      list().AddCircleFilled(place_.at(point), 0.2f * em(), theme_.chosen);
      list().AddCircle(place_.at(point), 0.32f * em(), theme_.text, 0, 1);
    }
    if (panel.has_cells()) { draw_selection(index); }
    if (hovered_ == index || clicked_ == index) { point_at(panel, index); }
    list().PopClipRect();
  }

  // The selected layer, token and expert where they are on an axis: along one axis a pair of
  // hairlines (a pale band where there are no cells); where both are selected, the cell.
  void draw_selection(std::size_t index) {
    const PanelPixels on = pixels(index);
    const std::int64_t column = selected_position(figure_.figure, on.panel.x, selection_);
    const std::int64_t row = selected_position(figure_.figure, on.panel.y, selection_);
    ScreenBox box = on.box;
    const auto frame = [](const FigureAxis& axis, const AxisPixels& along, std::int64_t at,
                          float& begin, float& end) {
      if (at < 0) { return; }
      const auto centre = static_cast<double>(at);
      const double half = axis.scale == Scale::category ? 0.5 : 0;
      begin = along.pixel(centre - half);
      end = along.pixel(centre + half);
      if (begin > end) { std::swap(begin, end); }
    };
    frame(on.panel.x, on.x, column, box.left, box.right);
    frame(on.panel.y, on.y, row, box.top, box.bottom);
    const auto faded = [this](std::uint32_t alpha) {
      return (theme_.chosen & ~IM_COL32_A_MASK) | (alpha << IM_COL32_A_SHIFT);
    };
    const float width = std::max(1.0f, 0.09f * em());
    if (!on.has_cells() && (column >= 0 || row >= 0) && box.width() > width &&
        box.height() > width) {
      return list().AddRectFilled({box.left, box.top}, {box.right, box.bottom}, faded(40));
    }
    if (column >= 0) {
      for (const float x : {box.left, box.right}) {
        list().AddLine({x, on.box.top}, {x, on.box.bottom}, faded(150), width);
      }
    }
    if (row >= 0) {
      for (const float y : {box.top, box.bottom}) {
        list().AddLine({on.box.left, y}, {on.box.right, y}, faded(150), width);
      }
    }
    if (column >= 0 && row >= 0) { mark(box); }
  }

  // A frame that is seen on light and dark cells.
  void mark(const ScreenBox& box) {
    const float width = std::max(1.5f, 0.13f * em());
    list().AddRect({box.left - width, box.top - width}, {box.right + width, box.bottom + width},
                   IM_COL32(0, 0, 0, 110), 0, width);
    list().AddRect({box.left, box.top}, {box.right, box.bottom}, theme_.chosen, 0, width);
  }

  // What is under the pointer: words, a crosshair over cells, and the choice of a click.
  void point_at(const PanelPixels& on, std::size_t index) {
    const ImVec2 mouse = ImGui::GetIO().MousePos;
    if (!on.box.contains(mouse)) { return; }
    const float finger = 0.45f * em();
    const double x = on.x.value(mouse.x), y = on.y.value(mouse.y);
    const CellBlock block = state_.tiles[index] ? state_.tiles[index]->block() : CellBlock{};
    const std::optional<Readout> found =
        readout(figure_.figure, index, x, y, reach(on.panel.x, on.x, mouse.x, finger),
                reach(on.panel.y, on.y, mouse.y, finger), block);
    if (!found) { return; }
    if (on.has_cells()) { draw_crosshair(on, on.cell(std::floor(y + 0.5), std::floor(x + 0.5))); }
    if (clicked_ == index && found->subject.any()) { click_ = found->subject; }
    if (hovered_ != index || !ImGui::BeginTooltip()) { return; }
    for (const std::string& line : found->lines) { ImGui::TextUnformatted(line.c_str()); }
    ImGui::EndTooltip();
  }

  static void draw_crosshair(const PanelPixels& on, const ScreenBox& cell) {
    ImDrawList& to = list();
    const float cx = std::round((cell.left + cell.right) / 2);
    const float cy = std::round((cell.top + cell.bottom) / 2);
    for (const auto& [dark, shift] :
         {std::pair{IM_COL32(0, 0, 0, 90), 1.0f}, std::pair{IM_COL32(255, 255, 255, 150), 0.0f}}) {
      to.AddLine({on.box.left, cy + shift}, {cell.left, cy + shift}, dark);
      to.AddLine({cell.right, cy + shift}, {on.box.right, cy + shift}, dark);
      to.AddLine({cx + shift, on.box.top}, {cx + shift, cell.top}, dark);
      to.AddLine({cx + shift, cell.bottom}, {cx + shift, on.box.bottom}, dark);
      to.AddRect({cell.left - shift, cell.top - shift}, {cell.right + shift, cell.bottom + shift},
                 dark);
    }
  }

  const PreparedFigure& figure_;
  const Subject& selection_;
  const Theme& theme_;
  FigureViewState& state_;
  FigureHands hands_;
  const ScreenBox area_;
  const ScenePlace place_;
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t hovered_ = kNone, clicked_ = kNone;
  std::optional<Subject> click_;
};

}  // namespace

bool is_incomplete(const FigureViewState& state) {
  return std::any_of(state.tiles.begin(), state.tiles.end(),
                     [](const auto& tiles) { return tiles && tiles->incomplete(); });
}

std::optional<Subject> draw_figure(const char* id,
                                   const std::shared_ptr<const PreparedFigure>& figure,
                                   const Subject& selection, const Theme& theme,
                                   FigureViewState& state, ImVec2 size) {
  if (figure && figure != state.shown && !figure->groups.empty()) { take_figure(state, figure); }
  if (!state.shown) { return {}; }
  if (state.fit) { fit_figure(state); }
  std::optional<Subject> click;
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(0, 0));
  const bool seen = ImGui::BeginChild(id, size, ImGuiChildFlags_None,
                                      ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoNav);
  ImGui::PopStyleVar();
  const ImVec2 corner = ImGui::GetCursorScreenPos(), room = ImGui::GetContentRegionAvail();
  if (seen && room.x > 4 * em() && room.y > 2 * em()) {
    const ScreenBox area{corner.x, corner.y, corner.x + room.x, corner.y + room.y};
    click = View(selection, theme, state, area).draw();
  }
  ImGui::EndChild();
  return click;
}

}  // namespace kappascope::gui
