// The figures of a panel: one, or of several traces one each, side by side, with one selection.
#pragma once

#include <string>

#include "app/gui/figure_panel.h"

namespace kappascope::gui {

// The figure called `id` of what is shown, into the space that is left, with its notes below.
void draw_panes(Gui& gui, const std::string& id, FigurePanelState& state);

}  // namespace kappascope::gui
