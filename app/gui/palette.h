// The command palette, a filtered list of actions, and the overlay of shortcuts.
#pragma once

#include <string>
#include <vector>

#include "app/gui/actions.h"

namespace kappascope::gui {

struct PaletteState {
  bool open = false, overlay = false;
  bool just_opened = false;
  std::string filter;
  int chosen = 0;
};
void draw_palette(PaletteState& state, const std::vector<Action>& all);
void draw_shortcut_overlay(PaletteState& state, const std::vector<Action>& all);

}  // namespace kappascope::gui
