#include "app/gui/palette.h"

#include <imgui.h>
#include <imgui_stdlib.h>

#include <algorithm>
#include <sstream>

#include "app/gui/widgets.h"
#include "core/error.h"

namespace kappascope::gui {
namespace {

// Every word of the filter is somewhere in the menu, the name, the id or the further words of the
// action, in any order and in either case.
bool matches(const Action& action, const std::string& filter) {
  const auto lower = [](std::string text) {
    for (char& c : text) { c = c >= 'A' && c <= 'Z' ? char(c + 32) : c; }
    return text;
  };
  const std::string all =
      lower(join_words(action.menu, ' ', action.name, ' ', action.id, ' ', action.also));
  std::istringstream words(lower(filter));
  for (std::string word; words >> word;) {
    if (all.find(word) == std::string::npos) { return false; }
  }
  return true;
}

}  // namespace

void draw_palette(PaletteState& state, const std::vector<Action>& all) {
  constexpr const char* kTitle = "Command palette###palette";
  if (state.just_opened) {
    ImGui::OpenPopup(kTitle);
    state.filter.clear();
    state.chosen = 0;
  }
  const ImGuiViewport* viewport = ImGui::GetMainViewport();
  const float width = std::min(36 * em(), viewport->WorkSize.x * 0.9f);
  ImGui::SetNextWindowPos({viewport->GetCenter().x, viewport->WorkPos.y + 2 * em()},
                          ImGuiCond_Always, {0.5f, 0});
  ImGui::SetNextWindowSize({width, 0});
  if (!ImGui::BeginPopup(kTitle, ImGuiWindowFlags_NoMove)) {
    state.open = false;
    state.just_opened = false;
    return;
  }
  focus_field("###filter", state.filter, state.just_opened);
  ImGui::SetNextItemWidth(-1);
  if (ImGui::InputTextWithHint("###filter", "Type what you want to do", &state.filter)) {
    state.chosen = 0;
  }
  std::vector<const Action*> found;
  for (const Action& action : all) {
    if (action.enabled && matches(action, state.filter)) { found.push_back(&action); }
  }
  const int count = int(found.size());
  if (ImGui::IsKeyPressed(ImGuiKey_DownArrow)) { ++state.chosen; }
  if (ImGui::IsKeyPressed(ImGuiKey_UpArrow)) { --state.chosen; }
  const bool moved =
      ImGui::IsKeyPressed(ImGuiKey_DownArrow) || ImGui::IsKeyPressed(ImGuiKey_UpArrow);
  state.chosen = std::clamp(state.chosen, 0, std::max(0, count - 1));
  const bool entered = ImGui::IsKeyPressed(ImGuiKey_Enter);
  const Action* run = entered && count > 0 ? found[state.chosen] : nullptr;
  ImGui::BeginChild("###found", {0, std::min(14.0f, float(std::max(1, count)) + 0.5f) *
                                        ImGui::GetTextLineHeightWithSpacing()});
  for (int i = 0; i < count; ++i) {
    const Action& action = *found[i];
    ImGui::PushID(i);
    if (ImGui::Selectable("###one", i == state.chosen)) { run = &action; }
    if (i == state.chosen && moved) { ImGui::SetScrollHereY(); }
    ImGui::SameLine(0, 0);
    ImGui::TextUnformatted(action.name.c_str());
    ImGui::SameLine();
    ImGui::TextDisabled("%s", (action.id.empty() ? action.menu : action.id).c_str());
    if (action.shortcut) {
      const std::string keys = shortcut_text(action.shortcut);
      ImGui::SameLine(ImGui::GetContentRegionAvail().x - ImGui::CalcTextSize(keys.c_str()).x);
      ImGui::TextDisabled("%s", keys.c_str());
    }
    ImGui::PopID();
  }
  if (count == 0) { ImGui::TextDisabled("No matching action"); }
  ImGui::EndChild();
  if (run) { ImGui::CloseCurrentPopup(); }
  ImGui::EndPopup();
  state.just_opened = false;
  if (run) { run->run(); }
}

void draw_shortcut_overlay(PaletteState& state, const std::vector<Action>& all) {
  if (!state.overlay) { return; }
  const ImGuiViewport* viewport = ImGui::GetMainViewport();
  ImGui::SetNextWindowPos(viewport->GetCenter(), ImGuiCond_Always, {0.5f, 0.5f});
  constexpr ImGuiWindowFlags kFlags = ImGuiWindowFlags_AlwaysAutoResize |
                                      ImGuiWindowFlags_NoDocking | ImGuiWindowFlags_NoCollapse |
                                      ImGuiWindowFlags_NoSavedSettings | ImGuiWindowFlags_NoMove;
  if (ImGui::Begin("Keyboard shortcuts###shortcuts", &state.overlay, kFlags)) {
    if (ImGui::BeginTable("###keys", 2, ImGuiTableFlags_RowBg)) {
      for (const Action& action : all) {
        if (!action.shortcut) { continue; }
        ImGui::TableNextColumn();
        ImGui::TextUnformatted(action.name.c_str());
        ImGui::TableNextColumn();
        ImGui::TextDisabled("%s", shortcut_text(action.shortcut).c_str());
      }
      ImGui::EndTable();
    }
    ImGui::TextDisabled(
        "In figures: wheel, + and − zoom, drag pans, double click and 0 show all, click and arrows "
        "select");
  }
  if (ImGui::IsKeyPressed(ImGuiKey_Escape)) { state.overlay = false; }
  ImGui::End();
}

}  // namespace kappascope::gui
