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

  // How many of its `bytes`, in which `code_points` begin, are bytes of the text: all but the space
  // that a tokenizer puts in front of a text. All where its place is not known.
  std::int64_t text_bytes(std::int64_t bytes, std::int64_t code_points,
                          bool begins_with_space) const {
    if (char_start < 0) { return bytes; }
    if (char_start == char_end) { return 0; }
    return bytes - (begins_with_space && code_points > char_end - char_start ? 1 : 0);
  }
};

}  // namespace kappascope
