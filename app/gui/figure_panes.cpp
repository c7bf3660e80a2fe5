#include "app/gui/figure_panes.h"

#include <imgui.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "app/gui/export_dialog.h"
#include "app/gui/gui.h"
#include "app/gui/notices.h"
#include "app/gui/widgets.h"
#include "core/figure/readout_text.h"
#include "core/figure/side_by_side.h"
#include "core/figure/text.h"

namespace kappascope::gui {
namespace {

constexpr double kOldAfter = 0.15;  // seconds before an older figure is said to be old
constexpr double kMuchWork = 1;     // and before its progress is shown
constexpr float kShape = 1.5F;      // width over height of a figure that is easy to read

// One figure of the panel.
struct Pane {
  ShownTrace of;
  std::string name;                              // the run's; "": it is alone
  std::string part;                              // of which layer and expert, behind the name
  std::shared_ptr<const PreparedFigure> figure;  // null: being made
  FigureViewState* view = nullptr;
};

// Keys that mean the figure of this window: arrows, + and −, 0.
FigureKeys keys_for_figure() {
  FigureKeys keys;
  if (!ImGui::IsWindowFocused(ImGuiFocusedFlags_RootAndChildWindows) ||
      ImGui::GetIO().WantTextInput || ImGui::IsAnyItemActive() ||
      ImGui::IsPopupOpen(nullptr, ImGuiPopupFlags_AnyPopupId | ImGuiPopupFlags_AnyPopupLevel)) {
    return keys;
  }
  const auto pressed = [](ImGuiKey key) {
    return int(ImGui::Shortcut(key, ImGuiInputFlags_Repeat));  // not for moving between buttons
  };
  keys.right = pressed(ImGuiKey_RightArrow) - pressed(ImGuiKey_LeftArrow);
  keys.up = pressed(ImGuiKey_UpArrow) - pressed(ImGuiKey_DownArrow);
  for (const ImWchar sign : ImGui::GetIO().InputQueueCharacters) {  // on any keyboard
    keys.zoom += int(sign == '+') - int(sign == '-');
    keys.all |= sign == '0';
  }
  return keys;
}

// Letters of a new figure that the fonts did not need before.
void need_fonts(Gui& gui, const Figure& figure) {
  gui.fonts.need(figure.title);
  gui.fonts.need(figure.subtitle);
  for (const Panel& panel : figure.panels) {
    for (const FigureAxis* axis : {&panel.x, &panel.y}) {
      gui.fonts.need(axis->name);
      for (const std::string& name : axis->names) { gui.fonts.need(name); }
    }
    for (const Line& line : panel.lines) { gui.fonts.need(line.name); }
    for (const HeatMap& map : panel.heat_map) {
      for (const std::string& text : map.texts) { gui.fonts.need(text); }
    }
  }
}

// What is shown now; the views of the state go with them.
std::vector<Pane> panes_of(Gui& gui, const std::string& id, FigurePanelState& state) {
  const FigureEntry& entry = figure_entry(id);
  const FigureChoices choices = figure_choices(gui, id);
  const std::vector<ShownTrace> shown = gui.workspace.shown_in(entry);
  std::vector<Pane> panes;
  if (entry.several != Several::one_each || shown.size() < 2) {
    ShownTrace current;
    if (!shown.empty()) {
      current = entry.several == Several::difference ? shown.back() : shown.front();
    }
    panes.push_back({current, "", "", gui.workspace.figure(id, choices, Turn::next), &state.view});
  } else {
    const auto lanes = gui.workspace.lanes(id, choices, Turn::next);
    for (std::size_t i = 0; i < shown.size(); ++i) {
      Pane pane{shown[i], "…", "", nullptr, i == 0 ? &state.view : &state.beside[i - 1]};
      if (lanes) {
        pane.name = lanes->lanes[i].name;
        pane.figure = lanes->lanes[i].figure;
        // Of which layer and expert, where that differs: each may have its own most loaded one.
        if (pane.figure && pane.figure->figure.title.starts_with(entry.title)) {
          pane.part = plain_text(pane.figure->figure.title.substr(entry.title.size()));
        }
      }
      panes.push_back(std::move(pane));
    }
  }
  for (std::size_t i = 0; i < state.traces.size(); ++i) {
    const DocumentId now = i < panes.size() ? panes[i].of.id : -1;
    FigureViewState& view = i == 0 ? state.view : state.beside[i - 1];
    if (i >= panes.size()) { view = {}; }
    if (state.traces[i] != now) { view.fit = true; }
    state.traces[i] = now;
  }
  state.panes = panes.size();
  return panes;
}

// Small print under the figures; its height is known before.
struct Notes {
  std::string text;
  float height = 0;
};

Notes notes_of(const std::vector<Pane>& panes) {
  std::vector<std::string> lines;
  const auto add = [&](std::string line) {
    if (line.empty() || std::find(lines.begin(), lines.end(), line) != lines.end()) { return; }
    lines.push_back(std::move(line));
  };
  std::vector<const Figure*> figures;
  std::vector<std::string> names;
  for (const Pane& pane : panes) {
    if (!pane.view->shown) { continue; }
    figures.push_back(&pane.view->shown->figure);
    names.push_back(pane.name);
  }
  for (const std::string& note : notes_of_runs(figures, names)) { add(plain_text(note)); }
  for (const Pane& pane : panes) {
    if (!pane.view->shown) { continue; }
    const Figure& figure = pane.view->shown->figure;
    for (std::size_t i = 0; i < pane.view->tiles.size() && i < figure.panels.size(); ++i) {
      const auto& tiles = pane.view->tiles[i];
      if (tiles) { add(zoomed_out_note(figure.panels[i], tiles->block())); }
    }
  }
  Notes notes;
  for (const std::string& line : lines) { notes.text += (notes.text.empty() ? "" : "\n") + line; }
  if (notes.text.empty()) { return notes; }
  const ImVec2 size =
      ImGui::CalcTextSize(notes.text.c_str(), nullptr, false, ImGui::GetContentRegionAvail().x);
  notes.height = std::min(size.y, 4.2F * em()) + ImGui::GetStyle().ItemSpacing.y;
  return notes;
}

// How many of `count` panes are beside each other in `room` so that they are as large as can be.
std::size_t columns_for(std::size_t count, ImVec2 room) {
  std::size_t best = 1;
  float largest = 0;
  for (std::size_t columns = 1; columns <= count; ++columns) {
    const std::size_t rows = (count + columns - 1) / columns;
    const float size = std::min(room.x / float(columns) / kShape, room.y / float(rows));
    if (size > largest) {
      largest = size;
      best = columns;
    }
  }
  return best;
}

// Whose figure it is, and how its tokens go with those of the current trace.
void draw_name(Gui& gui, const Pane& pane) {
  const bool current = pane.of.id == gui.workspace.view().trace;
  const std::string name = pane.name + pane.part;
  gui.fonts.need(name);
  elided_text(name, 0, current ? gui.theme->text : gui.theme->quiet_text);
  const auto parts = current ? nullptr : gui.workspace.counterparts(pane.of);
  if (!parts || parts->note().empty()) { return; }
  const float used = ImGui::CalcTextSize(name.c_str()).x;
  if (used > ImGui::GetContentRegionAvail().x - 8 * em()) { return; }
  ImGui::SameLine(0, em());
  elided_text(parts->note(), 0, gui.theme->warning);
}

// Zooms along tokens with those that have the same ones.
void share_tokens(Gui& gui, const FigurePanelState& state, const Pane& pane) {
  const DocumentId current = gui.workspace.view().trace;
  DocumentId with = pane.of.id;
  if (with != current) {
    const auto parts = gui.workspace.counterparts(pane.of);
    if (parts && parts->same_tokens()) { with = current; }
  }
  pane.view->tokens = state.parted ? nullptr : &gui.tokens_in_sight[with];
}

void draw_menu(Gui& gui, const std::string& id, FigurePanelState& state) {
  if (!ImGui::BeginPopup("###menu")) { return; }
  if (ImGui::MenuItem("Show all###fit")) {
    state.view.fit = true;
    for (FigureViewState& view : state.beside) { view.fit = true; }
  }
  ImGui::Separator();
  draw_copy_items(gui, id);
  if (ImGui::MenuItem("Export…###export")) { open_export_dialog(gui, id); }
  ImGui::EndPopup();
}

// Nothing is shown: the header and the notes are of no figure.
void show_none(FigureViewState& view) {
  view.shown = nullptr;
  view.tiles.clear();
  view.laid_out = {};
}

// How far a figure of much work is, and a way to stop it; over what is there.
void draw_making(Gui& gui, const std::string& id, ImVec2 corner) {
  const JobStatus job = gui.workspace.figure_job(id);
  if (job.id == 0 || !job.stage) { return; }
  const ImVec2 after = ImGui::GetCursorScreenPos();
  ImGui::SetCursorScreenPos(corner);
  // Panes are windows, and take what the pointer does above what is behind them.
  const bool shown = ImGui::BeginChild("###making", {0, 0},
                                       ImGuiChildFlags_AutoResizeX | ImGuiChildFlags_AutoResizeY);
  if (shown) {
    ImGui::AlignTextToFramePadding();
    ImGui::TextUnformatted(job_text(job).c_str());
    ImGui::SameLine();
    if (ImGui::Button("Stop###stop")) { gui.workspace.stop_figure(job.id); }
  }
  ImGui::EndChild();
  ImGui::SetCursorScreenPos(after);
  ImGui::Dummy({0, 0});
}

void draw_stopped(Gui& gui) {
  ImGui::TextUnformatted("The figure was not made: stopped.");
  if (ImGui::Button("Make it###make")) { gui.workspace.make_stopped_figures(); }
}

void draw_pane(Gui& gui, FigurePanelState& state, const Pane& pane, ImVec2 size, bool old) {
  const ImVec2 corner = ImGui::GetCursorScreenPos();
  if (pane.figure && pane.figure->failure) {
    show_none(*pane.view);
    if (pane.figure->failure.code == ExitCode::interrupted) { return draw_stopped(gui); }
    ImGui::PushStyleColor(ImGuiCol_Text, gui.theme->error);
    ImGui::TextWrapped("%s", pane.figure->failure.message.c_str());
    ImGui::PopStyleColor();
    return;
  }
  if (!pane.figure && !pane.view->shown) {
    return waiting_note(*gui.theme, "The figure is being made.");
  }
  if (pane.figure && pane.figure != pane.view->shown) { need_fonts(gui, pane.figure->figure); }
  pane.view->linear = state.view.linear;
  share_tokens(gui, state, pane);
  const auto click = draw_figure("###figure", pane.figure, gui.workspace.selection_in(pane.of),
                                 *gui.theme, *pane.view, size);
  if (click) {
    const bool by_key = pane.view->keys.right != 0 || pane.view->keys.up != 0;
    gui.workspace.pick_in(pane.of, *click, by_key ? Move::step : Move::jump);
  }
  if (!old) { return; }
  const ImU32 veil = (gui.theme->panel & ~IM_COL32_A_MASK) | (130U << IM_COL32_A_SHIFT);
  ImGui::GetWindowDrawList()->AddRectFilled(corner, {corner.x + size.x, corner.y + size.y}, veil);
}

void draw_grid(Gui& gui, FigurePanelState& state, const std::vector<Pane>& panes, ImVec2 room,
               bool old) {
  const ImVec2 corner = ImGui::GetCursorScreenPos(), gap(0.8F * em(), 0.4F * em());
  const std::size_t columns = columns_for(panes.size(), room);
  const std::size_t rows = (panes.size() + columns - 1) / columns;
  const ImVec2 size(std::floor((room.x + gap.x) / float(columns) - gap.x),
                    std::floor((room.y + gap.y) / float(rows) - gap.y));
  for (std::size_t i = 0; i < panes.size(); ++i) {
    const auto column = float(i % columns), row = float(i / columns);
    ImGui::SetCursorScreenPos(
        {corner.x + column * (size.x + gap.x), corner.y + row * (size.y + gap.y)});
    ImGui::BeginChild(ImGui::GetID(int(i)), size, ImGuiChildFlags_None,
                      ImGuiWindowFlags_NoNavInputs);
    draw_name(gui, panes[i]);
    draw_pane(gui, state, panes[i], ImGui::GetContentRegionAvail(), old);
    ImGui::EndChild();
  }
}

}  // namespace

void draw_panes(Gui& gui, const std::string& id, FigurePanelState& state) {
  const std::vector<Pane> panes = panes_of(gui, id, state);
  if (!panes.front().of.trace) {
    show_none(state.view);
    return empty_note(*gui.theme, "Nothing to compare",
                      "Run a text with an intervention, or tick a second trace in the panel Model");
  }
  const bool all = std::all_of(panes.begin(), panes.end(),
                               [](const Pane& pane) { return pane.figure != nullptr; });
  if (all) { state.waiting_since = -1; }
  if (!all && state.waiting_since < 0) { state.waiting_since = ImGui::GetTime(); }
  const double waited = all ? 0 : ImGui::GetTime() - state.waiting_since;
  const bool old = waited > kOldAfter;
  ImGui::PushFont(nullptr, 0.88F * ImGui::GetStyle().FontSizeBase);
  const Notes notes = notes_of(panes);
  ImGui::PopFont();
  const ImVec2 room = ImGui::GetContentRegionAvail(), corner = ImGui::GetCursorScreenPos();
  const ImVec2 size(room.x, std::max(6 * em(), room.y - notes.height));
  state.view.keys = keys_for_figure();
  if (panes.size() == 1) {
    draw_pane(gui, state, panes[0], size, old);
  } else {
    draw_grid(gui, state, panes, size, old);
    ImGui::SetCursorScreenPos({corner.x, corner.y + size.y});
    ImGui::Dummy({1, 0});
  }
  if (waited > kMuchWork) { draw_making(gui, id, corner); }
  const bool inside = ImGui::IsWindowHovered(ImGuiHoveredFlags_ChildWindows) &&
                      ImGui::IsMouseHoveringRect(corner, {corner.x + size.x, corner.y + size.y});
  if (inside && ImGui::IsMouseReleased(ImGuiMouseButton_Right)) { ImGui::OpenPopup("###menu"); }
  draw_menu(gui, id, state);
  if (notes.text.empty()) { return; }
  ImGui::PushFont(nullptr, 0.88F * ImGui::GetStyle().FontSizeBase);
  ImGui::PushStyleColor(ImGuiCol_Text, gui.theme->quiet_text);
  ImGui::PushTextWrapPos();
  ImGui::TextUnformatted(notes.text.c_str());
  ImGui::PopTextWrapPos();
  ImGui::PopStyleColor();
  ImGui::PopFont();
}

}  // namespace kappascope::gui
