#include "app/gui/leaving.h"

#include <imgui.h>

#include <algorithm>

#include "app/gui/gui.h"

namespace kappascope::gui {

namespace {

constexpr const char* kLeavingTitle = "Not saved###leaving";
constexpr std::size_t kMostNames = 6;

void leave(Gui& gui) {
  const LeaveState state = std::exchange(gui.leaving, {});
  if (state.trace >= 0) {
    gui.workspace.close_trace(state.trace);
  } else {
    gui.quit = true;
  }
}

// Goes on once everything was saved; not when something failed or the dialog was left.
void continue_saving(Gui& gui) {
  LeaveState& state = gui.leaving;
  if (!state.saving || gui.path_dialog.open || gui.workspace.loading()) { return; }
  if (runs_to_save(gui).empty()) { return leave(gui); }
  state = {};
}

void draw_names(const Gui& gui, const std::vector<DocumentId>& runs) {
  for (std::size_t i = 0; i < std::min(runs.size(), kMostNames); ++i) {
    for (const OpenTrace& open : gui.workspace.traces()) {
      if (open.id == runs[i]) { ImGui::BulletText("%s", open.label.c_str()); }
    }
  }
  if (runs.size() > kMostNames) { ImGui::BulletText("and %d more", int(runs.size() - kMostNames)); }
}

}  // namespace

std::vector<DocumentId> runs_to_save(const Gui& gui) {
  std::vector<DocumentId> runs;
  for (const OpenTrace& open : gui.workspace.traces()) {
    const bool meant = gui.leaving.trace < 0 ? !open.asked : open.id == gui.leaving.trace;
    if (meant && is_unsaved(open)) { runs.push_back(open.id); }
  }
  return runs;
}

void ask_to_quit(Gui& gui) {
  gui.leaving = {};
  if (runs_to_save(gui).empty()) {
    gui.quit = true;
  } else {
    gui.leaving.wanted = true;
  }
}

void ask_to_close(Gui& gui, DocumentId trace) {
  if (trace < 0) { return; }
  gui.leaving = {.trace = trace};
  if (runs_to_save(gui).empty()) {
    leave(gui);
  } else {
    gui.leaving.wanted = true;
  }
}

void draw_leaving(Gui& gui) {
  LeaveState& state = gui.leaving;
  continue_saving(gui);
  if (std::exchange(state.wanted, false)) { ImGui::OpenPopup(kLeavingTitle); }
  ImGui::SetNextWindowPos(ImGui::GetMainViewport()->GetCenter(), ImGuiCond_Appearing, {0.5F, 0.5F});
  constexpr ImGuiWindowFlags kFlags =
      ImGuiWindowFlags_AlwaysAutoResize | ImGuiWindowFlags_NoSavedSettings;
  if (!ImGui::BeginPopupModal(kLeavingTitle, nullptr, kFlags)) { return; }
  const std::vector<DocumentId> runs = runs_to_save(gui);
  const bool one = runs.size() == 1, quits = state.trace < 0;
  ImGui::TextUnformatted(one ? "The trace of this run was not saved:"
                             : "The traces of these runs were not saved:");
  draw_names(gui, runs);
  ImGui::TextDisabled("%s", !quits ? "Once it is closed, it has to be run again."
                            : one  ? "The last session keeps its text and can run it again."
                                   : "The last session keeps their texts and can run them again.");
  ImGui::Spacing();
  bool done = false;
  if (ImGui::Button("Save…###save")) {
    state.saving = done = true;
    open_path_dialog(gui, PathPurpose::save_runs);
  }
  ImGui::SetItemDefaultFocus();
  ImGui::SameLine();
  if (ImGui::Button(quits ? "Quit without saving###discard" : "Close without saving###discard")) {
    done = true;
    leave(gui);
  }
  ImGui::SameLine();
  if (ImGui::Button("Cancel###cancel") || ImGui::IsKeyPressed(ImGuiKey_Escape)) {
    done = true;
    state = {};
  }
  if (done) { ImGui::CloseCurrentPopup(); }
  ImGui::EndPopup();
}

}  // namespace kappascope::gui
