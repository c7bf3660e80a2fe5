#include "app/gui/path_dialog.h"

#include <imgui.h>
#include <imgui_stdlib.h>

#include <algorithm>
#include <system_error>

#include "app/gui/gui.h"
#include "app/gui/session.h"
#include "core/figure/text.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMostEntries = 5000;

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
    case PathPurpose::open_session:
      return {"Open session###path", "a session file", "Open", false};
    case PathPurpose::save_session:
      return {"Save session###path", "file to write, e.g. study.json", "Save", true};
    case PathPurpose::open:
      break;
  }
  return {"Open###path", "model folder, model_NNNNNN.pt, trace.npz or the folder of a run", "Open",
          false};
}

FolderListing list_folder(const fs::path& folder) {
  FolderListing listing{folder, {}};
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code unreadable;
    const std::string name = at->path().filename().string();
    if (name.starts_with('.') || listing.entries.size() >= kMostEntries) continue;
    listing.entries.push_back({name, at->is_directory(unreadable)});
  }
  std::sort(listing.entries.begin(), listing.entries.end(), [](const auto& a, const auto& b) {
    return a.folder != b.folder ? a.folder : a.name < b.name;
  });
  return listing;
}

// The folder that the typed text stands in.
fs::path typed_folder(const std::string& typed) {
  const std::size_t slash = typed.rfind('/');
  return slash == std::string::npos ? fs::path(".") : fs::path(typed.substr(0, slash + 1));
}

void ask_for_listing(Gui& gui, const fs::path& folder) {
  PathDialogState& state = gui.path_dialog;
  if (state.listing_asked == folder) return;
  state.listing_asked = folder;
  gui.workspace.quick_jobs().add(
      "List folder",
      [&state, folder](Progress&) -> JobQueue::Finish {
        auto listing = std::make_shared<const FolderListing>(list_folder(folder));
        return [&state, listing] {
          if (state.listing_asked == listing->folder) state.listing = listing;
        };
      },
      [](const Failure&) {}, Turn::next);
}

// Copies the files of a run to where they stay; what is there is not replaced.
void save_trace(Gui& gui, const fs::path& folder) {
  const OpenTrace* open = gui.workspace.current_open_trace();
  if (!open) return;
  const fs::path from = open->path.parent_path();
  gui.workspace.long_jobs().add(
      "Save trace",
      [from, folder, &workspace = gui.workspace](Progress& progress) -> JobQueue::Finish {
        std::error_code error;
        fs::create_directories(folder, error);
        for (const char* name : {"model.npz", "trace.npz"}) {
          if (!progress.update("copy", 0, 1)) throw Error(ExitCode::interrupted, "interrupted");
          const fs::path to = folder / name;
          require(!fs::exists(to), ExitCode::io, {.file = to.native()},
                  "exists; choose another folder");
          fs::copy_file(from / name, to, error);
          if (error) fs::remove(to);
          require(!error, ExitCode::io, {.file = to.native()}, error.message());
        }
        return [&workspace, folder] {
          workspace.say(false, "saved " + plain_text((folder / "trace.npz").string()));
        };
      },
      [&gui](const Failure& failure) { gui.workspace.say(failure); });
}

void carry_out(Gui& gui, const std::string& typed) {
  PathDialogState& state = gui.path_dialog;
  switch (state.purpose) {
    case PathPurpose::open:
      gui.workspace.open(typed);
      break;
    case PathPurpose::save_trace:
      save_trace(gui, typed);
      break;
    case PathPurpose::open_session:
      restore_session(gui, typed);
      break;
    case PathPurpose::save_session:
      try {
        save_session(gui, typed);
        gui.workspace.say(false, "saved " + plain_text(typed));
      } catch (const Error& error) {
        gui.workspace.say(error.failure());
      }
      break;
  }
}

// The contents of the folder; a click on a folder goes there, on a file takes its name.
void draw_listing(Gui& gui, float height) {
  PathDialogState& state = gui.path_dialog;
  const fs::path folder = typed_folder(state.typed);
  ask_for_listing(gui, folder);
  ImGui::BeginChild("###listing", {0, height}, ImGuiChildFlags_Borders);
  if (ImGui::Selectable(".."))
    state.typed = (folder.lexically_normal() / "..").lexically_normal().string() + "/";
  if (state.listing && state.listing->folder == folder) {
    ImGuiListClipper clipper;
    clipper.Begin(int(state.listing->entries.size()));
    while (clipper.Step()) {
      for (int i = clipper.DisplayStart; i < clipper.DisplayEnd; ++i) {
        const auto& entry = state.listing->entries[std::size_t(i)];
        ImGui::PushID(i);
        const std::string shown = plain_text(entry.name) + (entry.folder ? "/" : "");
        if (ImGui::Selectable(shown.c_str(), false, ImGuiSelectableFlags_NoAutoClosePopups))
          state.typed = (folder / entry.name).string() + (entry.folder ? "/" : "");
        ImGui::PopID();
      }
    }
  }
  ImGui::EndChild();
}

}  // namespace

void open_path_dialog(Gui& gui, PathPurpose purpose) {
  PathDialogState& state = gui.path_dialog;
  state.wanted = true;
  state.purpose = purpose;
  state.replace.clear();
  state.listing_asked.clear();
  if (state.typed.empty()) {
    std::error_code error;
    state.typed = (fs::current_path(error) / "").string();
  }
}

void draw_path_dialog(Gui& gui) {
  PathDialogState& state = gui.path_dialog;
  const Words say = words(state.purpose);
  if (state.wanted) ImGui::OpenPopup("###path");
  ImGui::SetNextWindowPos(ImGui::GetMainViewport()->GetCenter(), ImGuiCond_Appearing, {0.5f, 0.5f});
  const ImVec2 room = ImGui::GetMainViewport()->WorkSize;
  ImGui::SetNextWindowSize(
      {std::min(42 * em(), 0.95f * room.x), std::min(26 * em(), 0.9f * room.y)},
      ImGuiCond_Appearing);
  if (!ImGui::BeginPopupModal(say.title, nullptr, ImGuiWindowFlags_NoSavedSettings)) return;
  if (state.wanted) ImGui::SetKeyboardFocusHere();
  state.wanted = false;
  ImGui::SetNextItemWidth(-1);
  bool confirmed = ImGui::InputTextWithHint(
      "###typed", say.hint, &state.typed,
      ImGuiInputTextFlags_EnterReturnsTrue | ImGuiInputTextFlags_ElideLeft);
  draw_listing(gui, -2.2f * ImGui::GetFrameHeightWithSpacing());
  ImGui::TextDisabled("%s", say.hint);
  ImGui::BeginDisabled(state.typed.empty());
  const bool replacing = state.replace == state.typed && !state.typed.empty();
  confirmed |= ImGui::Button(
      replacing ? "Replace###confirm" : (std::string(say.button) + "###confirm").c_str(),
      {7 * em(), 0});
  ImGui::EndDisabled();
  ImGui::SameLine();
  if (ImGui::Button("Cancel###cancel", {7 * em(), 0}) || ImGui::IsKeyPressed(ImGuiKey_Escape))
    ImGui::CloseCurrentPopup();
  std::error_code unreadable;
  const bool asks = state.purpose == PathPurpose::save_session && !replacing && confirmed &&
                    fs::exists(state.typed, unreadable);
  if (asks) {
    state.replace = state.typed;
  } else if (confirmed && !state.typed.empty()) {
    carry_out(gui, state.typed);
    ImGui::CloseCurrentPopup();
  }
  if (replacing) {
    ImGui::SameLine();
    ImGui::TextUnformatted("The file exists.");
  }
  ImGui::EndPopup();
}

}  // namespace kappascope::gui
