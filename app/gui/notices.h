// The bottom of the window: what is going on, errors until they were seen, the last session.
#pragma once

#include <string>

#include "app/gui/jobs.h"

namespace kappascope::gui {

struct Gui;

void draw_notices(Gui& gui);

// Called where messages are listed, in each frame: once they were on the screen for a moment, they
// count as seen.
void note_messages_shown(Gui& gui);

// What a job does at this moment: "waiting", "running · 1,200 of 4,000 tokens · 12 s left".
std::string job_text(const JobStatus& job);

}  // namespace kappascope::gui
