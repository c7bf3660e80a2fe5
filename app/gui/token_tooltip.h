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
// Characters [start, end) of the text, the first and the last: "57–60"; "–": none of them.
std::string characters_text(std::int64_t start, std::int64_t end);
// Two digits a byte with spaces between; the first 24 bytes.
std::string spaced_hex(const std::string& digits);

void draw_token_tooltip(Gui& gui, const Trace& trace, std::int64_t token);

}  // namespace kappascope::gui
