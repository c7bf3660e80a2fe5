// The bar above the tokens that finds words in the text, and that selects a token by its number.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/trace/trace.h"

namespace kappascope::gui {

struct Gui;

// A place of the text, from the token in which it begins to the one in which it ends.
struct FoundText {
  std::int64_t first = 0, last = 0;
};

// Where `words` are in the text of the trace's tokens, in turn and without overlap; letters of
// ASCII match in either case. "" is found nowhere.
std::vector<FoundText> find_text(const Trace& trace, std::string_view words);

struct FindState {
  enum class Mode { closed, words, number };
  Mode mode = Mode::closed;
  bool just_opened = false;
  std::string words, number;  // as typed
  // What `found` was made for.
  const Trace* trace = nullptr;
  std::int64_t tokens = 0;  // of the trace that was searched
  std::string searched;
  std::vector<FoundText> found;

  bool contains(std::int64_t token) const;  // a place that was found does
};

void open_find_bar(Gui& gui, FindState::Mode mode);
// Selects the next place (`by` 1) or the one before (−1); after the last, the first.
void find_next(Gui& gui, int by);
void draw_find_bar(Gui& gui);  // nothing while it is closed

}  // namespace kappascope::gui
