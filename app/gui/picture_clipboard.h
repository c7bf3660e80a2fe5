// Pictures on the clipboard, which Dear ImGui and GLFW have only for text.
#pragma once

#include <string>

namespace kappascope::gui {

// Hands a PNG to wl-copy (Wayland) or xclip (X11). Neither there or none succeeds: Error (io).
// Blocks until the program has taken it: for a job.
void copy_picture(const std::string& png);

}  // namespace kappascope::gui
