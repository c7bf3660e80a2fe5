// A token of a text.
#pragma once

#include <cstdint>

namespace kappascope {

struct Token {
  std::int32_t id = 0;
  // Code points of the text, [begin, end): a token that holds part of a character spans that whole
  // character; one that holds nothing of the text is at an empty place in it. −1, −1 for what the
  // tokenizer adds in front or behind and for ids that came without a text.
  std::int32_t char_start = -1;
  std::int32_t char_end = -1;
};

}  // namespace kappascope
