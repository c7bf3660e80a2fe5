// What a pane with nothing in it says and offers.
#pragma once

namespace kappascope::gui {

struct Gui;

// empty_note() with buttons below it: open, recent, restore the last session.
void start_note(Gui& gui, const char* what, const char* how);

}  // namespace kappascope::gui
