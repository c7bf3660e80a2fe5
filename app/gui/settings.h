// What the window remembers between its runs.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/checkpoint/json.h"

namespace kappascope::gui {

// Where panels are: Dear ImGui's own description, and which of them are shown.
struct Layout {
  std::string ini;
  std::vector<std::string> shown;    // ids of panels and figures
  std::vector<std::string> front;    // of these, in turn: what is not behind others
  std::string built_in;              // name of the one that this is, unchanged; "": none
  bool narrow = false, low = false;  // of the window that it was made for
};

struct Settings {
  bool dark = true;
  double scale = 1;                       // by the user, on top of the monitor's
  int width = 1600, height = 1000;        // of the window
  std::vector<std::string> recent;        // absolute paths, newest first
  std::map<std::string, Layout> layouts;  // named by the user
  Layout last;                            // as the window was closed
};

inline constexpr double kLeastScale = 0.5, kMostScale = 4;

// Settings as kept; those of a first start where there are none. A file that is not ours or broken:
// Error (damaged), and the caller continues with those of a first start.
Settings load_settings(const std::filesystem::path& file);
void save_settings(const Settings& settings, const std::filesystem::path& file);

// Changes what is kept in `file`, where other windows may have changed it, and takes over into
// `settings` what all windows share: recent paths and named layouts. An empty file: changes
// `settings` alone. Errors: io.
using SettingsChange = std::function<void(Settings& kept)>;
void update_settings(Settings& settings, const std::filesystem::path& file,
                     const SettingsChange& change);

// A trace is remembered by its file, whether that or its folder was opened.
void remember_recent(Settings& settings, const std::filesystem::path& path);

// The shortest ends of paths that tell them apart: "d8-kappa", "run 2/trace.npz".
std::vector<std::string> short_paths(const std::vector<std::string>& paths);

Json layout_json(const Layout& layout);
Layout layout_of(const Json& document);  // empty where the document is not of that form

std::string json_text(const Json& document);

// Replaces `file` in one step, making its folder. Errors: io.
void write_text_file(const std::filesystem::path& file, const std::string& text);

}  // namespace kappascope::gui
