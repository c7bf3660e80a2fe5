// What the window remembers between its runs, under the XDG folders; never in the working
// directory.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/checkpoint/json.h"

namespace kappascope::gui {

// Where panels stand: Dear ImGui's own description, and which of them are shown.
struct Layout {
  std::string ini;
  std::vector<std::string> shown;  // ids of panels and figures
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

std::filesystem::path config_folder();  // $XDG_CONFIG_HOME/kappascope, else ~/.config/kappascope
std::filesystem::path state_folder();   // $XDG_STATE_HOME/kappascope, else ~/.local/state/…
std::filesystem::path cache_folder();   // $XDG_CACHE_HOME/kappascope, else ~/.cache/kappascope

// Settings as kept; those of a first start where there are none. A file that is not ours or broken:
// Error (damaged), and the caller goes on with those of a first start.
Settings load_settings(const std::filesystem::path& file);
void save_settings(const Settings& settings, const std::filesystem::path& file);

void remember_recent(Settings& settings, const std::filesystem::path& path);

Json layout_json(const Layout& layout);
Layout layout_of(const Json& document);  // empty where the document is not of that form

// Replaces `file` in one step, making its folder. Errors: io.
void write_json_file(const std::filesystem::path& file, const Json& document);

}  // namespace kappascope::gui
