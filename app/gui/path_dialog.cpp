#include "app/gui/path_dialog.h"

#include <imgui.h>
#include <imgui_stdlib.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "app/gui/gui.h"
#include "app/gui/save_runs.h"
#include "app/gui/session.h"
#include "app/gui/widgets.h"
#include "core/checkpoint/hub.h"
#include "core/figure/text.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

struct Words {
  const char* title;
  const char* hint;
  const char* button;
  bool saves;
};

Words words(PathPurpose purpose) {
  switch (purpose) {
    case PathPurpose::save_trace:
      return {"Save trace###path", "new or empty folder for trace.npz and model.npz", "Save", true};
    case PathPurpose::save_runs:
      return {"Save traces###path", "new or empty folder for the traces of the runs", "Save", true};
    case PathPurpose::open_session:
      return {"Open session###path", "a session file", "Open", false};
    case PathPurpose::save_session:
      return {"Save session###path", "file to write, e.g. study.json", "Save", true};
    case PathPurpose::open:
      break;
  }
  return {"Open###path",
          "model folder, model_NNNNNN.pt, trace.npz, folder of a run or of training, or session",
          "Open", false};
}

void ask_for_listing(Gui& gui, const fs::path& folder) {
  PathDialogState& state = gui.path_dialog;
  if (state.listing_asked == folder) { return; }
  state.listing_asked = folder;
  gui.workspace.quick_jobs().add(
      "List folder",
      [&state, folder](Progress&) -> JobQueue::Finish {
        auto listing = std::make_shared<const FolderListing>(list_folder(folder));
        return [&state, listing] {
          if (state.listing_asked != listing->folder) { return; }
          state.listing = listing;
          state.found = narrowed(*listing, typed_name(state.typed));
        };
      },
      [](const Failure&) {}, Turn::next);
}

// Another text, typed or chosen: what is listed follows it.
void typed_changed(PathDialogState& state) {
  state.problem.clear();
  state.replace.clear();
  state.chosen = -1;
  state.found.clear();
  const bool listed = state.listing && state.listing->folder == typed_folder(state.typed);
  if (listed) { state.found = narrowed(*state.listing, typed_name(state.typed)); }
}

std::string path_of(const PathDialogState& state, std::size_t place) {
  const FolderListing::Entry& entry = state.listing->entries[place];
  const bool goes_into = entry.folder && entry.kind == EntryKind::folder;
  return (typed_folder(state.typed) / entry.name).string() + (goes_into ? "/" : "");
}

// Tab completes; the arrow keys move in the list.
int on_key(ImGuiInputTextCallbackData* data) {
  PathDialogState& state = *static_cast<PathDialogState*>(data->UserData);
  if (data->EventFlag == ImGuiInputTextFlags_CallbackAlways) {
    if (state.at_end > 0) {
      data->CursorPos = data->SelectionStart = data->SelectionEnd = data->BufTextLen;
    }
    state.at_end = std::max(0, state.at_end - 1);
    return 0;
  }
  const int by = data->EventKey == ImGuiKey_DownArrow ? 1 : -1;
  if (state.models.shown && data->EventFlag == ImGuiInputTextFlags_CallbackHistory) {
    const int count = int(models_to_open(state.models).size());
    state.models.chosen = std::clamp(state.models.chosen + by, -1, count - 1);
    state.follow_chosen = true;
    return 0;
  }
  const std::string typed(data->Buf, std::size_t(data->BufTextLen));
  const bool listed = state.listing && state.listing->folder == typed_folder(typed);
  if (!listed) { return 0; }
  if (data->EventFlag == ImGuiInputTextFlags_CallbackCompletion) {
    const std::string name = typed_name(typed), full = completed(*state.listing, name);
    data->DeleteChars(data->BufTextLen - int(name.size()), int(name.size()));
    data->InsertChars(data->BufTextLen, full.c_str());
    return 0;
  }
  const int count = int(state.found.size());
  if (count > 0) { state.chosen = std::clamp(state.chosen + by, 0, count - 1); }
  state.follow_chosen = true;
  return 0;
}

// A word of what is wrong with what was typed; "": it can be opened.
std::string cannot_open(const fs::path& path, PathPurpose purpose) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (error && error != std::errc::no_such_file_or_directory &&
      error != std::errc::not_a_directory) {
    return error.message() + ".";
  }
  if (!fs::exists(status)) {
    fs::path there = path.lexically_normal();
    while (there.has_relative_path() && !fs::exists(there, error)) { there = there.parent_path(); }
    const std::string part =
        there.empty() ? "" : "; what exists of it: " + plain_text(there.string());
    return "There is no such file or folder" + part;
  }
  if (purpose == PathPurpose::open_session) {
    return is_session(path) ? "" : "This is not a session of kappascope.";
  }
  const FolderListing::Entry entry = entry_at(path);
  if (entry.kind == EntryKind::folder) {
    return "Neither a model, a trace nor a training run is in this folder.";
  }
  const bool other = entry.kind == EntryKind::other && !entry.name.ends_with(".json");
  return other ? "This is neither a model, a trace nor a session." : "";
}

std::string cannot_save(const Gui& gui, const fs::path& path) {
  const PathPurpose purpose = gui.path_dialog.purpose;
  std::error_code error;
  if (purpose == PathPurpose::save_session) {
    return fs::is_directory(path, error) ? "This is a folder; add the name of a file." : "";
  }
  return cannot_save_runs(purpose == PathPurpose::save_trace ? 1 : runs_to_save(gui).size(), path);
}

void carry_out(Gui& gui, const fs::path& path) {
  switch (gui.path_dialog.purpose) {
    case PathPurpose::open:
      drop_path(gui, path);
      break;
    case PathPurpose::save_trace:
      save_runs(gui, {gui.workspace.view().trace}, path);
      break;
    case PathPurpose::save_runs:
      save_runs(gui, runs_to_save(gui), path);
      break;
    case PathPurpose::open_session:
      restore_session(gui, path);
      break;
    case PathPurpose::save_session:
      try {
        save_session(gui, path);
        gui.workspace.say(false, "saved " + plain_text(path.string()));
      } catch (const Error& error) { gui.workspace.say(error.failure()); }
      break;
  }
}

// The path that was typed; of "org/name" the snapshot in the hub cache. A problem is said.
fs::path meant_by(PathDialogState& state) {
  const fs::path typed = without_tilde(state.typed);
  state.problem.clear();
  if (state.purpose != PathPurpose::open) { return typed; }
  try {
    return resolve_model(typed);
  } catch (const Error& error) { state.problem = plain_text(error.what()); }
  return typed;
}

// True: it was done and the dialog ends.
bool confirm(Gui& gui) {
  PathDialogState& state = gui.path_dialog;
  const bool saves = words(state.purpose).saves;
  state.refocus = true;
  if (state.models.shown && state.models.chosen >= 0) {
    state.typed = models_to_open(state.models).at(std::size_t(state.models.chosen)).string();
  } else if (state.chosen >= 0 && state.chosen < int(state.found.size())) {
    type_path(state, path_of(state, state.found[state.chosen]));
    if (saves || state.typed.ends_with('/')) { return false; }
  }
  if (state.typed.empty()) { return false; }
  const fs::path path = meant_by(state);
  if (!state.problem.empty()) { return false; }
  state.problem = saves ? cannot_save(gui, path) : cannot_open(path, state.purpose);
  std::error_code error;
  if (!state.problem.empty()) {
    // A plain folder: its contents are listed, the reason stays.
    const bool enters = !saves && fs::is_directory(path, error) && !state.typed.ends_with('/');
    if (enters) { type_path(state, state.typed + "/"); }
    return false;
  }
  const bool asks = state.purpose == PathPurpose::save_session && state.replace != state.typed &&
                    fs::exists(path, error);
  if (asks) {
    state.replace = state.typed;
    return false;
  }
  carry_out(gui, path);
  return true;
}

// One row of the list; true: it was double-clicked and can be opened.
bool draw_entry(Gui& gui, int row) {
  PathDialogState& state = gui.path_dialog;
  const std::size_t place = state.found[row];
  const FolderListing::Entry& entry = state.listing->entries[place];
  ImGui::PushID(row);
  constexpr auto kFlags =
      ImGuiSelectableFlags_NoAutoClosePopups | ImGuiSelectableFlags_AllowDoubleClick;
  const bool clicked = ImGui::Selectable("###entry", row == state.chosen, kFlags);
  if (row == state.chosen && state.follow_chosen) { ImGui::SetScrollHereY(); }
  ImGui::SameLine(0, 0);
  const float mark = entry.mark.empty() ? 0 : ImGui::CalcTextSize(entry.mark.c_str()).x + em();
  const float room = ImGui::GetContentRegionAvail().x, left = ImGui::GetCursorPosX();
  const bool openable = entry.kind != EntryKind::other && entry.kind != EntryKind::folder;
  const ImU32 ink = openable                          ? gui.theme->accent
                    : entry.kind == EntryKind::folder ? gui.theme->text
                                                      : gui.theme->quiet_text;
  elided_text(plain_text(entry.name) + (entry.folder ? "/" : ""), room - mark, ink);
  if (mark > 0) {
    ImGui::SameLine(left + room - mark + em());
    ImGui::TextUnformatted(entry.mark.c_str());
  }
  ImGui::PopID();
  if (!clicked) { return false; }
  const bool twice = ImGui::IsMouseDoubleClicked(ImGuiMouseButton_Left) && openable;
  // A model's own folder can be entered, too: the second click into a plain folder is one too many.
  type_path(state, path_of(state, place));
  return twice;
}

// The contents of the folder that what is typed leaves; true: one was double-clicked.
bool draw_listing(Gui& gui) {
  PathDialogState& state = gui.path_dialog;
  if (state.models.shown) {
    fs::path picked;
    const bool twice = draw_model_list(gui, picked);
    if (!picked.empty()) {
      state.typed = picked.string();
      state.refocus = true;
      typed_changed(state);
    }
    return twice;
  }
  const fs::path folder = typed_folder(state.typed);
  ask_for_listing(gui, folder);
  if (ImGui::Selectable("..", false, ImGuiSelectableFlags_NoAutoClosePopups)) {
    std::error_code error;
    const fs::path up = (fs::absolute(folder, error) / "..").lexically_normal();
    type_path(state, up.string() + (up.string().ends_with('/') ? "" : "/"));
    return false;
  }
  if (!state.listing || state.listing->folder != folder) { return false; }
  if (!state.listing->problem.empty()) {
    ImGui::TextDisabled("%s", state.listing->problem.c_str());
    return false;
  }
  if (state.found.empty()) {
    ImGui::TextDisabled(typed_name(state.typed).empty() ? "empty" : "no name here contains this");
  }
  const std::shared_ptr<const FolderListing> held = state.listing;
  bool open = false;
  ImGuiListClipper clipper;
  clipper.Begin(int(state.found.size()));
  if (state.follow_chosen && state.chosen >= 0) { clipper.IncludeItemByIndex(state.chosen); }
  while (clipper.Step()) {
    for (int i = clipper.DisplayStart; i < std::min(clipper.DisplayEnd, int(state.found.size()));
         ++i) {
      open |= draw_entry(gui, i);
    }
  }
  state.follow_chosen = false;
  return open;
}

bool draw_input(PathDialogState& state, const char* hint) {
  if (state.refocus) {
    state.at_end = 3;  // frames until the field has the keys
  }
  if (std::exchange(state.refocus, false)) { ImGui::SetKeyboardFocusHere(); }
  ImGui::SetNextItemWidth(-1);
  constexpr ImGuiInputTextFlags kFlags =
      ImGuiInputTextFlags_EnterReturnsTrue | ImGuiInputTextFlags_ElideLeft |
      ImGuiInputTextFlags_CallbackCompletion | ImGuiInputTextFlags_CallbackHistory |
      ImGuiInputTextFlags_CallbackAlways;
  const std::string before = state.typed;
  focus_field("###typed", state.typed, std::exchange(state.wanted, false));
  const bool entered =
      ImGui::InputTextWithHint("###typed", hint, &state.typed, kFlags, on_key, &state);
  if (state.typed != before) {
    state.models.shown = false;
    typed_changed(state);
  }
  return entered;
}

// True: confirmed.
bool draw_buttons(Gui& gui, const Words& say, bool& cancelled) {
  PathDialogState& state = gui.path_dialog;
  const bool replacing = state.replace == state.typed && !state.typed.empty();
  if (!state.problem.empty() || replacing) {
    ImGui::PushStyleColor(ImGuiCol_Text, gui.theme->error);
    ImGui::TextWrapped("%s", replacing ? "The file exists." : state.problem.c_str());
    ImGui::PopStyleColor();
  } else {
    quiet_text(*gui.theme, say.hint);
  }
  ImGui::BeginDisabled(state.typed.empty());
  const std::string label = std::string(replacing ? "Replace" : say.button) + "###confirm";
  const bool confirmed = ImGui::Button(label.c_str(), {7 * em(), 0});
  ImGui::EndDisabled();
  ImGui::SameLine();
  cancelled =
      ImGui::Button("Cancel###cancel", {7 * em(), 0}) || ImGui::IsKeyPressed(ImGuiKey_Escape);
  if (!say.saves) {
    ImGui::SameLine();
    ImGui::TextDisabled("Tab completes, ↑ ↓ choose");
  }
  return confirmed;
}

}  // namespace

void type_path(PathDialogState& state, std::string text) {
  state.typed = std::move(text);
  state.refocus = true;
  state.models.shown = false;
  typed_changed(state);
}

void open_path_dialog(Gui& gui, PathPurpose purpose) {
  PathDialogState& state = gui.path_dialog;
  leave_fields();
  state.wanted = state.open = true;
  state.refocus = false;  // of the last time: what is typed takes the place of what it left
  state.at_end = 0;
  state.models.shown = false;
  state.purpose = purpose;
  state.listing_asked.clear();
  if (state.typed.empty()) {
    std::error_code error;
    state.typed = (fs::current_path(error) / "").string();
  }
  typed_changed(state);
}

void draw_path_dialog(Gui& gui) {
  PathDialogState& state = gui.path_dialog;
  const Words say = words(state.purpose);
  if (state.wanted) { ImGui::OpenPopup("###path"); }
  ImGui::SetNextWindowPos(ImGui::GetMainViewport()->GetCenter(), ImGuiCond_Appearing, {0.5f, 0.5f});
  const ImVec2 room = ImGui::GetMainViewport()->WorkSize;
  ImGui::SetNextWindowSize(
      {std::min(54 * em(), 0.95f * room.x), std::min(30 * em(), 0.9f * room.y)},
      ImGuiCond_Appearing);
  if (!ImGui::BeginPopupModal(say.title, nullptr, ImGuiWindowFlags_NoSavedSettings)) {
    state.open = state.wanted;
    return;
  }
  bool confirmed = draw_input(state, say.hint), cancelled = false;
  const float below = 2 * ImGui::GetFrameHeightWithSpacing() + ImGui::GetTextLineHeight();
  ImGui::BeginChild("###places", {std::min(12 * em(), 0.3f * room.x), -below},
                    ImGuiChildFlags_Borders);
  confirmed |= draw_places(gui);
  ImGui::EndChild();
  ImGui::SameLine();
  ImGui::BeginChild("###listing", {0, -below}, ImGuiChildFlags_Borders);
  confirmed |= draw_listing(gui);
  ImGui::EndChild();
  confirmed |= draw_buttons(gui, say, cancelled);
  if (cancelled || (confirmed && confirm(gui))) { ImGui::CloseCurrentPopup(); }
  ImGui::EndPopup();
}

}  // namespace kappascope::gui
