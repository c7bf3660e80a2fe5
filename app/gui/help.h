// "What it means": sections of docs/metrics.md in a window.
#pragma once

namespace kappascope::gui {

struct Gui;

void draw_help(Gui& gui);  // while gui.help names a metric

}  // namespace kappascope::gui
