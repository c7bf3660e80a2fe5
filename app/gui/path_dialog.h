// Asks for a path: typed, completed, or picked from the folder's contents, which a job lists.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "app/gui/path_listing.h"
#include "app/gui/path_places.h"

namespace kappascope::gui {

struct Gui;

enum class PathPurpose : std::uint8_t { open, save_trace, save_runs, open_session, save_session };

struct PathDialogState {
  bool wanted = false;  // open it in this frame
  bool open = false;    // it is on the screen, or will be
  PathPurpose purpose = PathPurpose::open;
  std::string typed;
  std::shared_ptr<const FolderListing> listing;
  std::filesystem::path listing_asked;
  std::vector<std::size_t> found;  // entries of the listing that `typed` leaves
  int chosen = -1;                 // of these, by the arrow keys
  bool follow_chosen = false;      // scroll to it
  bool refocus = false;            // the text field takes the keys again
  int at_end = 0;                  // frames in which its cursor is put at the end
  ModelListState models;           // shown in the place of the listing
  std::string problem;             // why what was typed cannot be opened or written
  std::string replace;             // file that the next confirmation replaces
};

// As if `text` had been typed.
void type_path(PathDialogState& state, std::string text);

void open_path_dialog(Gui& gui, PathPurpose purpose);
void draw_path_dialog(Gui& gui);

}  // namespace kappascope::gui
