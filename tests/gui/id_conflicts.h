// Items of one frame that share an id: Dear ImGui warns of them only under the pointer, tests fail
// with each.
#pragma once

#include <string>
#include <vector>

namespace kappascope::gui::test {

// After ImGui::NewFrame(): the items of this frame are counted.
void watch_ids();

// Of the frames since the last call, one line for each id that two items had.
std::vector<std::string> take_id_conflicts();

}  // namespace kappascope::gui::test
