// Colours and measures of the window, dark and light.
#pragma once

#include <imgui.h>

#include "core/figure/colour.h"

namespace kappascope::gui {

struct Theme {
  bool dark = true;
  ImU32 text, quiet_text;  // ink of words, and of words that are less important
  ImU32 accent;            // selection, the run button, links
  ImU32 warning, error;
  ImU32 panel;   // background of panels
  ImU32 paper;   // background of plots and of the running text
  ImU32 line;    // hairlines: grid, borders
  ImU32 chosen;  // frame of the selected cell, token, row
};

const Theme& theme(bool dark);

// Sets Dear ImGui's style (colours, roundings, spacing at scale 1).
void apply_theme(const Theme& theme, ImGuiStyle& style);

inline ImU32 colour32(Colour colour, int alpha = 255) {
  return IM_COL32(colour.red, colour.green, colour.blue, alpha);
}

// Width of the letter m at the size in force: all distances are multiples of it.
inline float em() {
  return ImGui::GetFontSize();
}

}  // namespace kappascope::gui
