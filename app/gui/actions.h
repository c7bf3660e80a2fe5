// What a person can ask of the window: one registry that feeds menus, shortcuts, the command
// palette and the overlay of shortcuts.
#pragma once

#include <imgui.h>

#include <functional>
#include <string>
#include <vector>

namespace kappascope::gui {

struct Gui;

struct Action {
  std::string name;  // "Save session as…"
  std::string menu;  // "File", "File/Open recent"; "": in the palette alone
  ImGuiKeyChord shortcut = 0;
  std::function<void()> run;
  bool enabled = true;
  bool checked = false;
  bool separated = false;  // a line above it in the menu
  std::string id;          // "kappa-tokens": what else it is called by; or ""
  std::string help;        // shown by the pointer in the menu
  std::string also;        // further words that the palette finds it by
};

// All actions as they are now, in the order of the menus.
std::vector<Action> actions(Gui& gui);

std::string shortcut_text(ImGuiKeyChord chord);  // "Ctrl+Shift+P"

// Draws the menu bar; runs what is chosen there or by shortcut.
void draw_menus(const std::vector<Action>& all);
void run_shortcuts(const std::vector<Action>& all);

}  // namespace kappascope::gui
