// Texts of one frame that are not drawn whole: shortened with "…", or cut at an edge on the left or
// right; and windows that scroll sideways. Neither what is out of sight nor the text of a trace,
// which is shown as far as there is room. And every text in sight, as it is drawn.
#pragma once

#include <imgui.h>

#include <string>
#include <vector>

namespace kappascope::gui::test {

// After ImGui::NewFrame(): the texts of this frame are looked at.
void watch_texts();

// After the frame: one line for each, sorted; each text once.
std::vector<std::string> take_cut_texts();

// A text of which some is inside what it is clipped to.
struct DrawnText {
  const ImDrawList* list;
  ImVec2 at;   // its upper left corner
  float size;  // of the font, in pixels
  ImU32 colour;
  std::string text;
};

// After the frame, in place of take_cut_texts(): in the order in which they were drawn.
std::vector<DrawnText> take_drawn_texts();

}  // namespace kappascope::gui::test
