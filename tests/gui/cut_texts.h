// Texts of one frame that are not drawn whole: shortened with "…", or cut at an edge on the left or
// right; and windows that scroll sideways. Neither what is out of sight nor the text of a trace,
// which is shown as far as there is room.
#pragma once

#include <string>
#include <vector>

namespace kappascope::gui::test {

// After ImGui::NewFrame(): the texts of this frame are looked at.
void watch_texts();

// After the frame: one line for each, sorted; each text once.
std::vector<std::string> take_cut_texts();

}  // namespace kappascope::gui::test
