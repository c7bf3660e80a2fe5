// All about one token in words, as the tooltip of the running text has it.
#pragma once

#include <cstdint>
#include <string>

namespace kappascope {
struct Trace;
}

namespace kappascope::gui {

class Fonts;
struct Gui;

// Why token t does not look as it should, for a person; "" when it does.
std::string token_note(const Trace& trace, std::int64_t t, const Fonts& fonts);
// Two digits a byte with spaces between; the first 24 bytes.
std::string spaced_hex(const std::string& digits);

void draw_token_tooltip(Gui& gui, const Trace& trace, std::int64_t token);

}  // namespace kappascope::gui
