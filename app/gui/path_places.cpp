#include "app/gui/path_places.h"

#include <imgui.h>

#include <cstdlib>
#include <string>
#include <system_error>

#include "app/gui/gui.h"
#include "app/gui/widgets.h"
#include "core/figure/text.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

struct PlaceToGo {
  std::string name, path;
};

std::vector<PlaceToGo> places() {
  std::vector<PlaceToGo> all;
  std::error_code error;
  const fs::path here = fs::current_path(error);
  if (!error) { all.push_back({"Started in", (here / "").string()}); }
  const char* home = std::getenv("HOME");
  if (home && fs::is_directory(home, error)) { all.push_back({"Home", std::string(home) + "/"}); }
  all.push_back({"/", "/"});
  return all;
}

// "98.5 MB": powers of 1,000, as files are listed.
std::string size_text(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"bytes", "kB", "MB", "GB", "TB"};
  double size = double(bytes);
  int unit = 0;
  for (; size >= 999.95 && unit < 4; ++unit) { size /= 1000; }
  return fixed_text(size, unit > 0 ? 1 : 0) + " " + kUnits[unit];
}

// One model on two lines; true: it was clicked.
bool draw_model(Gui& gui, const ListedModel& model, bool chosen, bool follow) {
  const Theme& theme = *gui.theme;
  const bool refused = !model.refusal.empty();
  ImGui::PushID(model.folder.c_str());
  ImGui::BeginDisabled(refused);
  constexpr auto kFlags =
      ImGuiSelectableFlags_NoAutoClosePopups | ImGuiSelectableFlags_AllowDoubleClick;
  const float height = 2 * ImGui::GetTextLineHeight();
  const bool clicked = ImGui::Selectable("###model", chosen, kFlags, {0, height});
  if (chosen && follow) { ImGui::SetScrollHereY(); }
  explain((plain_text(model.folder.string()) + (refused ? "\n" : "") + plain_text(model.refusal))
              .c_str());
  ImGui::EndDisabled();
  ImGui::SameLine(0, 0);
  ImGui::BeginGroup();
  ImGui::PushStyleVarY(ImGuiStyleVar_ItemSpacing, 0);
  const std::string size = size_text(model.bytes);
  const float room = ImGui::GetContentRegionAvail().x, left = ImGui::GetCursorPosX();
  const float width = ImGui::CalcTextSize(size.c_str()).x;
  elided_text(plain_text(model.name), room - width - em(),
              refused ? theme.quiet_text : theme.accent);
  ImGui::SameLine(0, 0);
  ImGui::SetCursorPosX(left + room - width);
  elided_text(size, width + 1, refused ? theme.quiet_text : theme.text);
  std::string about = plain_text(model.family);
  if (model.step) { about += ", step " + count_text(*model.step); }
  if (refused) { about += (about.empty() ? "" : ": ") + plain_text(model.refusal); }
  elided_text(about, 0, theme.quiet_text);
  ImGui::PopStyleVar();
  ImGui::EndGroup();
  ImGui::PopID();
  return clicked;
}

void read_models(Gui& gui) {
  ModelListState& state = gui.path_dialog.models;
  state.asked = true;
  gui.workspace.quick_jobs().add(
      "List models",
      [&state](Progress&) -> JobQueue::Finish {
        auto places = std::make_shared<const std::vector<ModelPlace>>(list_models());
        return [&state, places] {
          state.asked = false;
          state.places = places;
        };
      },
      [&gui, &state](const Failure& failure) {
        state.asked = false;
        gui.workspace.say(failure);
      },
      Turn::next);
}

}  // namespace

bool draw_places(Gui& gui) {
  PathDialogState& state = gui.path_dialog;
  const bool opens = state.purpose == PathPurpose::open;
  const bool saves = !opens && state.purpose != PathPurpose::open_session;
  ImGui::TextDisabled("Places");
  for (const PlaceToGo& place : places()) {
    if (ImGui::Selectable(place.name.c_str(), false, ImGuiSelectableFlags_NoAutoClosePopups)) {
      type_path(state, place.path);
    }
    explain(plain_text(place.path).c_str());
  }
  if (opens && ImGui::Selectable("Hub cache###hub", state.models.shown,
                                 ImGuiSelectableFlags_NoAutoClosePopups)) {
    show_model_list(gui);
  }
  if (saves || gui.settings.recent.empty()) { return false; }
  ImGui::Spacing();
  ImGui::TextDisabled("Recent");
  bool open = false;
  const std::vector<std::string> names = short_paths(gui.settings.recent);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string& recent = gui.settings.recent[i];
    ImGui::PushID(recent.c_str());
    constexpr auto kFlags =
        ImGuiSelectableFlags_NoAutoClosePopups | ImGuiSelectableFlags_AllowDoubleClick;
    if (ImGui::Selectable("###recent", false, kFlags)) {
      type_path(state, recent);
      open |= ImGui::IsMouseDoubleClicked(ImGuiMouseButton_Left);
    }
    explain(plain_text(recent).c_str());
    ImGui::SameLine(0, 0);
    elided_text(plain_text(names[i]));
    ImGui::PopID();
  }
  return open;
}

void show_model_list(Gui& gui) {
  ModelListState& state = gui.path_dialog.models;
  state.shown = true;
  state.chosen = -1;
  gui.path_dialog.refocus = true;  // the arrow keys choose from there
  if (!state.asked) { read_models(gui); }
}

std::vector<fs::path> models_to_open(const ModelListState& state) {
  std::vector<fs::path> folders;
  if (!state.places) { return folders; }
  for (const ModelPlace& place : *state.places) {
    for (const ListedModel& model : place.models) {
      if (model.refusal.empty()) { folders.push_back(model.folder); }
    }
  }
  return folders;
}

bool draw_model_list(Gui& gui, fs::path& picked) {
  ModelListState& state = gui.path_dialog.models;
  if (!state.places) {
    ImGui::TextDisabled("reading headers …");
    return false;
  }
  const auto held = state.places;
  bool open = false;
  int number = 0;
  for (const ModelPlace& place : *held) {
    heading(gui.fonts.bold, place.title.c_str());
    ImGui::SameLine(0, 0.6F * em());
    elided_text(plain_text(place.folder.string()), 0, gui.theme->quiet_text);
    if (!place.failure.empty()) { quiet_text(*gui.theme, place.failure); }
    if (place.models.empty() && place.failure.empty()) { ImGui::TextDisabled("no models here"); }
    for (const ListedModel& model : place.models) {
      const bool chosen = model.refusal.empty() && number == state.chosen;
      if (draw_model(gui, model, chosen, gui.path_dialog.follow_chosen)) {
        picked = model.folder;
        state.chosen = number;
        open |= ImGui::IsMouseDoubleClicked(ImGuiMouseButton_Left);
      }
      number += int(model.refusal.empty());
    }
  }
  gui.path_dialog.follow_chosen = false;
  return open;
}

}  // namespace kappascope::gui
