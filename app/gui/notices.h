// The bottom of the window: what is going on, errors until they were seen, the last session.
#pragma once

namespace kappascope::gui {

struct Gui;

void draw_notices(Gui& gui);

// Called where messages are listed, in each frame: once they were on the screen for a moment, they
// count as seen.
void note_messages_shown(Gui& gui);

}  // namespace kappascope::gui
