// The tokens of the current trace as coloured running text, with the legend of their colours.
#pragma once

namespace kappascope::gui {

struct Gui;

// Fills the space that is left. The current trace must be there.
void draw_running_text(Gui& gui);

}  // namespace kappascope::gui
