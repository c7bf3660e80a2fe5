// Where panels stand: the layouts that come with the window, and those that the user names.
#pragma once

#include <span>
#include <string>

#include "app/gui/settings.h"

namespace kappascope::gui {

struct Gui;

std::span<const char* const> built_in_layouts();  // the first is that of a first start

// Puts the panels as the layout `name` (built in, or of the settings) says; unknown: the first.
void apply_layout(Gui& gui, const std::string& name, unsigned int dockspace);
void apply_layout(Gui& gui, const Layout& layout);

Layout current_layout(const Gui& gui);

}  // namespace kappascope::gui
