// What the interventions of the current trace changed, against the same run without them.
#pragma once

namespace kappascope::gui {

struct Gui;

void draw_effect(Gui& gui);

}  // namespace kappascope::gui
