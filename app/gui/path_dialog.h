// Asks for a path: typed, or picked from the folder's contents, which a job lists.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace kappascope::gui {

struct Gui;

enum class PathPurpose : std::uint8_t { open, save_trace, open_session, save_session };

struct FolderListing {
  std::filesystem::path folder;
  struct Entry {
    std::string name;
    bool folder = false;
  };
  std::vector<Entry> entries;  // folders first, by name
};

struct PathDialogState {
  bool wanted = false;  // open it in this frame
  PathPurpose purpose = PathPurpose::open;
  std::string typed;
  std::shared_ptr<const FolderListing> listing;
  std::filesystem::path listing_asked;
  std::string replace;  // file that the next confirmation replaces
};

void open_path_dialog(Gui& gui, PathPurpose purpose);
void draw_path_dialog(Gui& gui);

}  // namespace kappascope::gui
