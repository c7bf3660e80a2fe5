// The colours of tokens: taken over from the workspace, and explained.
#pragma once

namespace kappascope::gui {

struct Gui;

// Makes gui.text.colours those of the quantity that is chosen, as soon as they are there.
void take_colours(Gui& gui);
// One or two lines: the colour bar or the names of colours.
void draw_token_legend(Gui& gui);

}  // namespace kappascope::gui
