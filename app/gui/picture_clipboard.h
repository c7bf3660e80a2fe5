// What the clipboard carries: of text, how much; and pictures, which Dear ImGui and GLFW lack.
#pragma once

#include <cstddef>
#include <string>

namespace kappascope::gui {

inline constexpr std::size_t kMostClipboard = std::size_t{8} << 20;  // bytes of text

// Hands a PNG to wl-copy (Wayland) or xclip (X11). Neither there or none succeeds: Error (io).
// Blocks until the program has taken it: for a job.
void copy_picture(const std::string& png);

}  // namespace kappascope::gui
