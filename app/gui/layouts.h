// Where panels are: the layouts that come with the window, and those that the user names.
#pragma once

#include <map>
#include <span>
#include <string>

#include "app/gui/settings.h"

namespace kappascope::gui {

struct Gui;

// How much room the window has.
struct SizeClass {
  bool narrow = false;  // for three columns
  bool low = false;     // for two figures, one above the other
  bool operator==(const SizeClass&) const = default;
};

// The built-in layout in force, until the user changes it.
struct BuiltIn {
  std::string name;  // "": none
  SizeClass size;    // that it was made for
  std::string arrangement;
};

// Of a layout that was just taken: places of tabs by their window's id, put right once all are
// there.
struct TabOrder {
  std::map<unsigned int, int> places;
  int frames = 0;
};

std::span<const char* const> built_in_layouts();  // the first is that of a first start

// Before ImGui::NewFrame(), where alone Dear ImGui takes docked windows from a text: takes
// gui.layout_to_load or, where gui.next_layout names one of the settings, that. One in which
// nothing is docked is that of a first start.
void load_layout(Gui& gui);

// The dock space over all of the window, where panels are docked; takes gui.next_layout when it is
// built in (unknown: the first). Its parts share a change of the window's size; a built-in layout
// is made anew where the window becomes too small for it, or large enough again.
void draw_dockspace(Gui& gui);

// Shows a panel that the user has not asked for: it does not count as a change of the layout.
void show_by_itself(Gui& gui, const std::string& id);

Layout current_layout(const Gui& gui);

}  // namespace kappascope::gui
