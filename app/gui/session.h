// Sessions: what is open, the text, the selection and where panels stand, as a JSON file with paths
// relative to it. Runs are kept as their text and settings, and run again.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "app/gui/workspace.h"
#include "core/checkpoint/json.h"

namespace kappascope::gui {

struct Gui;

std::filesystem::path last_session_file();  // written when the window closes

// Errors: io.
void save_session(const Gui& gui, const std::filesystem::path& file);

// Opens in addition to what is open. What cannot be opened is said in the messages, the rest goes
// on; a file that is no session: one message, nothing changes.
void restore_session(Gui& gui, const std::filesystem::path& file);

// What is left to restore while models open and texts run; continued once a frame.
struct SessionRestore {
  struct Run {
    std::filesystem::path model;
    std::int64_t step = -1;
    RunSettings settings;
  };
  bool going = false;
  std::vector<Run> runs;
  std::size_t next_run = 0;
  Json view;
};
void continue_restore(Gui& gui);

}  // namespace kappascope::gui
