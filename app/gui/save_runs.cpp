#include "app/gui/save_runs.h"

#include <algorithm>
#include <system_error>

#include "app/gui/gui.h"
#include "core/figure/text.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFiles[] = {kModelFile, kTraceFile};

// "3" of the third of several; the folder itself for one.
fs::path place_of(const fs::path& folder, std::size_t i, std::size_t count) {
  return count == 1 ? folder : folder / std::to_string(i + 1);
}

void copy_run(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to, error);
  require(!error, ExitCode::io, {.file = to.native()}, error.message());
  for (const char* name : kFiles) {
    const fs::path file = to / name;
    require(!fs::exists(file, error), ExitCode::io, {.file = file.native()},
            "exists; choose another folder");
    fs::copy_file(from / name, file, error);
    std::error_code ignored;
    if (error) { fs::remove(file, ignored); }
    require(!error, ExitCode::io, {.file = file.native()}, error.message());
  }
}

}  // namespace

std::string cannot_save_runs(std::size_t count, const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_directory(folder, error)) { return "This is a file."; }
  for (std::size_t i = 0; i < count; ++i) {
    for (const char* name : kFiles) {
      if (fs::exists(place_of(folder, i, count) / name, error)) {
        return "There is a trace in this folder already; choose another one.";
      }
    }
  }
  return "";
}

namespace {

void copy_runs(Gui& gui, const std::vector<DocumentId>& runs, const fs::path& folder) {
  struct Copy {
    DocumentId id;
    fs::path from, to;
  };
  std::vector<Copy> copies;
  for (const DocumentId id : runs) {
    const OpenTrace* open = gui.workspace.trace(id);
    if (!open) { continue; }
    const fs::path to =
        place_of(fs::absolute(folder).lexically_normal(), copies.size(), runs.size());
    copies.push_back({id, open->path.parent_path(), to});
  }
  gui.workspace.long_jobs().add(
      "Save",
      [copies, folder, &workspace = gui.workspace](Progress& progress) -> JobQueue::Finish {
        for (std::size_t i = 0; i < copies.size(); ++i) {
          go_on(progress, Stage::copy, i, copies.size());
          copy_run(copies[i].from, copies[i].to);
        }
        return [&workspace, copies, folder] {
          for (const Copy& copy : copies) {
            OpenTrace* open = workspace.trace(copy.id);
            const bool same = open && open->path.parent_path() == copy.from;  // no later live run
            if (same) { open->saved = copy.to / kTraceFile; }
          }
          workspace.say(false, "saved " + plain_text(folder.string()));
        };
      },
      [&gui](const Failure& failure) { gui.workspace.say(failure); });
}

}  // namespace

// The files of a text that is being generated are others with each token: first it ends.
void save_runs(Gui& gui, const std::vector<DocumentId>& runs, const fs::path& folder) {
  const auto generated = gui.workspace.generated();
  const bool grows = generated && generated->going &&
                     std::find(runs.begin(), runs.end(), generated->trace) != runs.end();
  if (!grows) { return copy_runs(gui, runs, folder); }
  gui.workspace.stop_generating();
  gui.workspace.after_opening([&gui, runs, folder] { copy_runs(gui, runs, folder); });
}

}  // namespace kappascope::gui
