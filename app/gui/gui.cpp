#include "app/gui/gui.h"

#include <imgui.h>
#include <imgui_internal.h>
#include <imgui_stdlib.h>

#include <algorithm>
#include <system_error>

#include "app/gui/help.h"
#include "app/gui/layouts.h"
#include "app/gui/panels.h"
#include "app/gui/widgets.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr float kFontSize = 14;

// Theme and size may have changed since the last frame.
void apply_look(Gui& gui) {
  const Theme& wanted = theme(gui.settings.dark);
  const float scale = float(gui.settings.scale * gui.monitor_scale);
  ImGuiStyle& style = ImGui::GetStyle();
  if (gui.theme == &wanted && style.FontScaleMain == scale) return;
  gui.theme = &wanted;
  style = ImGuiStyle();
  apply_theme(wanted, style);
  style.ScaleAllSizes(scale);
  style.FontSizeBase = style._NextFrameFontSizeBase = kFontSize;
  style.FontScaleMain = scale;
}

void take_layout(Gui& gui, ImGuiID dockspace) {
  if (gui.layout_to_load) {
    apply_layout(gui, *gui.layout_to_load);
    gui.layout_to_load.reset();
  }
  if (gui.next_layout.empty()) return;
  apply_layout(gui, gui.next_layout, dockspace);
  gui.next_layout.clear();
}

// One window of a panel or figure; brought to the front where that was asked for.
template <typename Draw>
void draw_window(Gui& gui, const std::string& id, const std::string& title, const std::string& help,
                 Draw&& draw) {
  bool& shown = gui.shown[id];
  if (!shown) return;
  if (gui.focus == id) ImGui::SetNextWindowFocus();
  ImGui::SetNextWindowSize({36 * em(), 24 * em()}, ImGuiCond_FirstUseEver);
  const bool open = ImGui::Begin((title + "###" + id).c_str(), &shown);
  if (!help.empty()) explain(help.c_str());  // of the tab
  if (open) draw();
  ImGui::End();
}

void draw_windows(Gui& gui) {
  for (const Panel& panel : panels())
    draw_window(gui, panel.id, panel.title, "", [&] { panel.draw(gui); });
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
    ImGui::FocusWindow(ImGui::FindWindowByName(("###" + gui.raise.front()).c_str()));
    gui.raise.erase(gui.raise.begin());
  }
}

// What is going on, at the bottom; errors stay until they were looked at.
void draw_status(Gui& gui) {
  constexpr ImGuiWindowFlags kFlags = ImGuiWindowFlags_NoScrollbar | ImGuiWindowFlags_MenuBar |
                                      ImGuiWindowFlags_NoSavedSettings | ImGuiWindowFlags_NoNav;
  const float height = ImGui::GetFrameHeight();
  if (ImGui::BeginViewportSideBar("###status", ImGui::GetMainViewport(), ImGuiDir_Down, height,
                                  kFlags)) {
    if (ImGui::BeginMenuBar()) {
      const Workspace& workspace = gui.workspace;
      const std::vector<JobStatus> jobs = gui.workspace.long_jobs().status();
      if (!jobs.empty()) {
        const JobStatus& job = jobs.front();
        const float share = job.total > 0 ? float(double(job.done) / double(job.total)) : 0;
        ImGui::TextUnformatted(job.title.c_str());
        ImGui::ProgressBar(share, {10 * em(), 0.7f * height}, job.stage.c_str());
        if (ImGui::SmallButton("Cancel###cancel")) gui.workspace.cancel(job.id);
      } else if (workspace.messages_said() > gui.messages_seen && !workspace.messages().empty()) {
        const Message& last = workspace.messages().back();
        ImGui::PushStyleColor(ImGuiCol_Text, last.error ? gui.theme->error : gui.theme->text);
        if (ImGui::MenuItem((last.text + "###message").c_str())) {
          gui.shown["messages"] = true;
          gui.focus = "messages";
        }
        ImGui::PopStyleColor();
      } else if (const OpenTrace* open = workspace.current_open_trace()) {
        ImGui::TextDisabled("%s, %lld tokens, %lld MoE layers, %lld experts", open->label.c_str(),
                            static_cast<long long>(open->trace->tokens),
                            static_cast<long long>(open->trace->layers),
                            static_cast<long long>(open->trace->experts));
      } else {
        ImGui::TextDisabled("Open a checkpoint or a trace: Ctrl+O, or drop it here");
      }
      ImGui::EndMenuBar();
    }
  }
  ImGui::End();
}

void draw_layout_naming(Gui& gui) {
  if (gui.naming_layout) ImGui::OpenPopup("Save layout###naming");
  ImGui::SetNextWindowPos(ImGui::GetMainViewport()->GetCenter(), ImGuiCond_Appearing, {0.5f, 0.5f});
  if (!ImGui::BeginPopupModal("Save layout###naming", nullptr,
                              ImGuiWindowFlags_AlwaysAutoResize | ImGuiWindowFlags_NoSavedSettings))
    return;
  if (gui.naming_layout) ImGui::SetKeyboardFocusHere();
  gui.naming_layout = false;
  ImGui::SetNextItemWidth(18 * em());
  bool save = ImGui::InputTextWithHint("###name", "name", &gui.layout_name,
                                       ImGuiInputTextFlags_EnterReturnsTrue);
  ImGui::BeginDisabled(gui.layout_name.empty());
  save |= ImGui::Button("Save###save");
  ImGui::EndDisabled();
  ImGui::SameLine();
  const bool cancel = ImGui::Button("Cancel###cancel") || ImGui::IsKeyPressed(ImGuiKey_Escape);
  if (save && !gui.layout_name.empty()) gui.settings.layouts[gui.layout_name] = current_layout(gui);
  if (cancel || (save && !gui.layout_name.empty())) ImGui::CloseCurrentPopup();
  ImGui::EndPopup();
}

}  // namespace

bool Gui::wants_frame() const {
  return figure_counts().tiles_missing || new_glyphs || !raise.empty() || !next_layout.empty() ||
         layout_to_load.has_value() || restore.going;
}

void prepare_frame(Gui& gui) {
  gui.workspace.take_over();
  gui.new_glyphs = gui.fonts.update(gui.workspace.quick_jobs());
  continue_restore(gui);
}

void draw_frame(Gui& gui) {
  apply_look(gui);
  const std::vector<Action> all = actions(gui);
  run_shortcuts(all);
  draw_menus(all);
  draw_status(gui);
  const ImGuiID dockspace =
      ImGui::DockSpaceOverViewport(ImGui::GetID("dockspace"), ImGui::GetMainViewport());
  take_layout(gui, dockspace);
  draw_windows(gui);
  draw_palette(gui.palette, all);
  draw_shortcut_overlay(gui.palette, all);
  draw_path_dialog(gui);
  draw_export_dialog(gui);
  draw_help(gui);
  draw_layout_naming(gui);
}

void drop_path(Gui& gui, const fs::path& path) {
  const std::string name = path.filename().string();
  std::error_code unreadable;
  const bool openable =
      fs::is_directory(path, unreadable) || name.ends_with(".npz") || name.ends_with(".pt");
  if (openable) return gui.workspace.open(path);
  if (name.ends_with(".json")) return restore_session(gui, path);
  load_text(gui, path);
}

}  // namespace kappascope::gui
