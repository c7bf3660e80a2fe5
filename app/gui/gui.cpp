#include "app/gui/gui.h"

#include <imgui.h>
#include <imgui_internal.h>
#include <imgui_stdlib.h>

#include <algorithm>
#include <cfloat>
#include <system_error>
#include <utility>

#include "app/gui/help.h"
#include "app/gui/layouts.h"
#include "app/gui/notices.h"
#include "app/gui/panels.h"
#include "app/gui/widgets.h"
#include "core/train/train_log.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr float kFontSize = 14;

// Theme and size may have changed since the last frame.
void apply_look(Gui& gui) {
  const Theme& wanted = theme(gui.settings.dark);
  const float scale = float(gui.settings.scale * gui.monitor_scale);
  ImGuiStyle& style = ImGui::GetStyle();
  if (gui.theme == &wanted && style.FontScaleMain == scale) { return; }
  gui.theme = &wanted;
  style = ImGuiStyle();
  apply_theme(wanted, style);
  style.ScaleAllSizes(scale);
  style.FontSizeBase = style._NextFrameFontSizeBase = kFontSize;
  style.FontScaleMain = scale;
  style.TabMinWidthShrink = FLT_MAX;  // never: titles stay whole
}

// One window of a panel or figure; brought to the front where that was asked for.
template <typename Draw>
void draw_window(Gui& gui, const std::string& id, const std::string& title, const std::string& help,
                 Draw&& draw) {
  bool& shown = gui.shown[id];
  if (!shown) { return; }
  if (gui.focus == id) { ImGui::SetNextWindowFocus(); }
  // One that the layout does not know (of a newer version) joins the others.
  ImGui::SetNextWindowDockID(gui.largest_node, ImGuiCond_FirstUseEver);
  ImGui::SetNextWindowSize({36 * em(), 24 * em()}, ImGuiCond_FirstUseEver);
  const ImVec2 room = ImGui::GetMainViewport()->WorkSize;
  ImGui::SetNextWindowSizeConstraints({8 * em(), 6 * em()}, room);
  // A window that appears does not move to the front: many do at once, each among other tabs.
  const bool open = ImGui::Begin((title + "###" + id).c_str(), &shown,
                                 ImGuiWindowFlags_NoFocusOnAppearing | ImGuiWindowFlags_NoCollapse);
  if (!help.empty()) {
    explain(help.c_str());  // of the tab
  }
  // A tab behind others is hidden in the first frames of a layout although Dear ImGui takes items.
  if (open && !ImGui::GetCurrentWindow()->Hidden) { draw(); }
  ImGui::End();
}

void draw_windows(Gui& gui) {
  for (const DockPanel& panel : panels()) {
    draw_window(gui, panel.id, panel.title, "", [&] { panel.draw(gui); });
  }
  for (const FigureEntry& entry : figure_catalogue()) {
    const std::string id(entry.id);
    const std::string help = join_words(entry.title, "\n", entry.id, ": ", entry.what);
    draw_window(gui, id, std::string(entry.title), help, [&] { draw_figure_panel(gui, id); });
  }
  gui.focus.clear();
  // Tabs exist a frame after their windows were docked, and follow the focus, one a frame.
  if (gui.raise.empty()) {
    gui.frames_raising = 0;
  } else if (++gui.frames_raising >= 3) {
    ImGuiWindow* window = ImGui::FindWindowByName(("###" + gui.raise.front()).c_str());
    if (window) {
      ImGui::FocusWindow(window);
      ImGui::NavInitWindow(window, false);  // its first item is where keys go
    }
    gui.raise.erase(gui.raise.begin());
  }
}

void keep_layout(Gui& gui) {
  const Layout layout = current_layout(gui);
  change_settings(gui, [&](Settings& kept) { kept.layouts[gui.layout_name] = layout; });
}

void draw_layout_naming(Gui& gui) {
  if (gui.naming_layout) { ImGui::OpenPopup("Save layout###naming"); }
  ImGui::SetNextWindowPos(ImGui::GetMainViewport()->GetCenter(), ImGuiCond_Appearing, {0.5f, 0.5f});
  if (!ImGui::BeginPopupModal(
          "Save layout###naming", nullptr,
          ImGuiWindowFlags_AlwaysAutoResize | ImGuiWindowFlags_NoSavedSettings)) {
    return;
  }
  focus_field("###name", gui.layout_name, std::exchange(gui.naming_layout, false));
  ImGui::SetNextItemWidth(18 * em());
  bool save = ImGui::InputTextWithHint("###name", "name", &gui.layout_name,
                                       ImGuiInputTextFlags_EnterReturnsTrue);
  ImGui::BeginDisabled(gui.layout_name.empty());
  save |= ImGui::Button("Save###save");
  ImGui::EndDisabled();
  ImGui::SameLine();
  const bool cancel = ImGui::Button("Cancel###cancel") || ImGui::IsKeyPressed(ImGuiKey_Escape);
  if (save && !gui.layout_name.empty()) { keep_layout(gui); }
  if (cancel || (save && !gui.layout_name.empty())) { ImGui::CloseCurrentPopup(); }
  ImGui::EndPopup();
}

// What was in sight of traces that are closed. Views get theirs anew when they are drawn.
void forget_closed(Gui& gui) {
  const auto closed = [&](const auto& one) { return !gui.workspace.trace(one.first); };
  if (std::erase_if(gui.tokens_in_sight, closed) == 0) { return; }
  for (auto& [id, panel] : gui.figures) {
    panel.view.tokens = nullptr;
    for (FigureViewState& view : panel.beside) { view.tokens = nullptr; }
  }
}

}  // namespace

void change_settings(Gui& gui, const SettingsChange& change) {
  try {
    update_settings(gui.settings, gui.settings_file, change);
  } catch (const Error& error) {
    change(gui.settings);
    gui.workspace.say(error.failure());
  }
}

bool Gui::wants_frame() const {
  const auto incomplete = [](const auto& figure) {
    const FigurePanelState& panel = figure.second;
    return is_incomplete(panel.view) ||
           std::any_of(panel.beside.begin(), panel.beside.end(), is_incomplete);
  };
  const auto drawn_on_card = [](const auto& figure) { return is_incomplete(figure.second); };
  return std::any_of(figures.begin(), figures.end(), incomplete) ||
         std::any_of(expert.figures.begin(), expert.figures.end(), drawn_on_card) || new_glyphs ||
         !raise.empty() || !next_layout.empty() || layout_to_load.has_value() ||
         !tab_order.places.empty() || restore.going || interventions.changed_at >= 0 ||
         (messages_shown_since >= 0 && messages_seen < workspace.messages_said());
}

bool prepare_frame(Gui& gui) {
  const bool anything = gui.workspace.take_over();
  forget_closed(gui);
  gui.new_glyphs = gui.fonts.update(gui.workspace.quick_jobs());
  continue_restore(gui);
  load_layout(gui);
  return anything;
}

void draw_frame(Gui& gui) {
  apply_look(gui);
  const std::vector<Action> all = actions(gui);
  run_shortcuts(all);
  draw_menus(all);
  draw_notices(gui);
  draw_dockspace(gui);
  show_new_training(gui);  // a layout, which has been laid out by now, would hide it again
  draw_windows(gui);
  run_when_due(gui);
  draw_palette(gui.palette, all);
  draw_shortcut_overlay(gui.palette, all);
  draw_path_dialog(gui);
  draw_export_dialog(gui);
  draw_help(gui);
  draw_layout_naming(gui);
  draw_leaving(gui);
}

void drop_path(Gui& gui, const fs::path& path, std::optional<std::int64_t> step) {
  const std::string name = path.filename().string();
  std::error_code unreadable;
  const bool text = fs::is_regular_file(path, unreadable) && !name.ends_with(".npz") &&
                    !name.ends_with(".pt") && !name.ends_with(".json") && name != kTrainLog;
  if (text) { return load_text(gui, path); }
  if (!name.ends_with(".json")) { return gui.workspace.open(path, step); }
  restore_session(gui, path);
  if (gui.restore.going) {
    change_settings(gui, [&](Settings& kept) { remember_recent(kept, path); });
  }
}

}  // namespace kappascope::gui
