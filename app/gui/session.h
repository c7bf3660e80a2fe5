// Sessions: what is open, the text, the selection and where panels are, as a JSON file with paths
// relative to it. Runs are kept as their text and settings, and run again.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "app/gui/workspace.h"
#include "core/checkpoint/json.h"

namespace kappascope::gui {

struct Gui;

// What would be written to `file`.
std::string session_text(const Gui& gui, const std::filesystem::path& file);

// Errors: io.
void save_session(const Gui& gui, const std::filesystem::path& file);

bool worth_keeping(const Workspace& workspace);  // something is open or typed

bool is_session(const std::filesystem::path& file);

// "d8-kappa, 2 traces, a text": what restoring would open; "" when it is no session.
std::string session_summary(const std::filesystem::path& file);

// Opens in addition to what is open. What cannot be opened is said in the messages, the rest goes
// on; a file that is no session: one message, nothing changes.
void restore_session(Gui& gui, const std::filesystem::path& file);

// What is left to restore, one trace after the other; continued once a frame.
struct SessionRestore {
  struct Model {
    std::filesystem::path path;
    std::optional<std::int64_t> step;
    KappaChoices reading;
  };
  struct Entry {
    std::filesystem::path path;        // of the trace; of a run: of its model
    std::optional<std::int64_t> step;  // of that model
    KappaChoices reading;              // of that model
    std::optional<RunSettings> run;
    bool compared = false;
    bool live = false;
    bool model_asked = false;  // to be opened for this entry
    Model model() const { return {path, step, reading}; }
  };
  bool going = false;
  std::vector<Model> models;  // as they are to be in the end
  std::optional<Model> used;  // the one in use
  std::vector<Entry> entries;
  std::size_t at = 0;  // entry that is opened or run now, once `began`
  bool began = false;
  bool opening_model = false;  // for the entry, which begins once it is open
  DocumentId newest_before = -1;
  std::vector<DocumentId> restored;  // by entry; −1: it did not open
  Json view;
};
void continue_restore(Gui& gui);

}  // namespace kappascope::gui
