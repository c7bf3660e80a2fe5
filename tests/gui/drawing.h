// What a frame draws, in lines that can be read and compared: texts where they begin, and all else
// by the boxes that it fills.
#pragma once

#include <imgui.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/gui/cut_texts.h"

namespace kappascope::gui::test {

// Of the windows whose names begin with `window`, in the order in which they are drawn. Pixels are
// whole; "WINDOW text X Y SIZE COLOUR | TEXT" and "WINDOW shape X Y X Y COLOUR".
std::vector<std::string> drawing_of(const ImDrawData& data, const std::vector<DrawnText>& texts,
                                    std::string_view window);

// What is not as expected, a line of each that differs; places may be a pixel away.
std::string difference_of(const std::vector<std::string>& expected,
                          const std::vector<std::string>& found);

}  // namespace kappascope::gui::test
