#include "app/gui/start_note.h"

#include <imgui.h>

#include <algorithm>
#include <string>
#include <vector>

#include "app/gui/gui.h"
#include "app/gui/widgets.h"
#include "core/figure/text.h"

namespace kappascope::gui {

namespace {

void draw_recents(Gui& gui) {
  if (!ImGui::BeginPopup("###recents")) { return; }
  const std::vector<std::string> recents = gui.settings.recent;  // opening one changes the list
  const std::vector<std::string> names = short_paths(recents);
  for (std::size_t i = 0; i < names.size(); ++i) {
    ImGui::PushID(recents[i].c_str());
    if (ImGui::MenuItem(plain_text(names[i]).c_str())) { drop_path(gui, recents[i]); }
    explain(plain_text(recents[i]).c_str());
    ImGui::PopID();
  }
  ImGui::EndPopup();
}

}  // namespace

void start_note(Gui& gui, const char* what, const char* how) {
  empty_note(*gui.theme, what, how);
  const bool recent = !gui.settings.recent.empty(), restore = !gui.session_offer.empty();
  const auto width = [](const char* label) {
    return ImGui::CalcTextSize(label).x + 2 * ImGui::GetStyle().FramePadding.x;
  };
  const float gap = ImGui::GetStyle().ItemSpacing.x;
  const float all = width("Open…") + (recent ? gap + width("Recent") : 0) +
                    (restore ? gap + width("Restore") : 0);
  const float room = ImGui::GetContentRegionAvail().x;
  ImGui::Dummy({0, 0.3f * em()});
  // In the middle; below each other where they have no room beside each other.
  ImGui::SetCursorPosX(ImGui::GetCursorPosX() + std::max(0.0f, (room - all) / 2));
  if (ImGui::Button("Open…###open")) { open_path_dialog(gui, PathPurpose::open); }
  explain("A checkpoint, a trace or a session (Ctrl+O)");
  if (recent) {
    next_item(width("Recent"));
    if (ImGui::Button("Recent###recent")) { ImGui::OpenPopup("###recents"); }
    draw_recents(gui);
  }
  if (!restore) { return; }
  next_item(width("Restore"));
  if (ImGui::Button("Restore###restore")) { restore_session(gui, gui.last_session); }
  explain(("Last session: " + gui.session_offer).c_str());
}

}  // namespace kappascope::gui
