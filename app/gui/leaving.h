// Closing a run that was not saved, or the window with such runs: asks first.
#pragma once

#include "app/gui/workspace.h"

namespace kappascope::gui {

struct Gui;

struct LeaveState {
  bool wanted = false;    // open the question in this frame
  DocumentId trace = -1;  // to close; −1: the window
  bool saving = false;    // a folder was asked for; what was asked continues once all is saved
};

// Quits, or asks when runs would be lost. Those of the command line are made again by it.
void ask_to_quit(Gui& gui);

// Closes the trace, or asks when it is a run that was not saved.
void ask_to_close(Gui& gui, DocumentId trace);

// Runs that leaving would lose: the one to close, or all.
std::vector<DocumentId> runs_to_save(const Gui& gui);

void draw_leaving(Gui& gui);

}  // namespace kappascope::gui
