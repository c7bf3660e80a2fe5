// UTF-8, one code point at a time (Unicode 15, table 3-7: no overlong forms, no surrogates).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kappascope {

// One decoded code point; length 0: the bytes at that place are no UTF-8.
struct CodePoint {
  char32_t value = 0;
  std::size_t length = 0;  // bytes, 1 to 4
};

// The code point that starts at text[at]; at < text.size().
inline CodePoint decode_utf8(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[at + i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) { return {lead, 1}; }
  const std::size_t length = lead < 0xC2   ? 0
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                             : lead < 0xF5 ? 4
                                           : 0;
  if (length == 0 || text.size() - at < length) { return {}; }
  char32_t value = lead & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) { return {}; }
    value = value << 6 | (byte(i) & 0x3FU);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (overlong || surrogate || value > 0x10FFFF) { return {}; }
  return {value, length};
}

// Whether a byte of valid UTF-8 starts a code point.
inline bool starts_utf8(char byte) {
  return (static_cast<std::uint8_t>(byte) & 0xC0) != 0x80;
}

// Code points that begin in a text.
inline std::int64_t count_code_points(std::string_view text) {
  return std::count_if(text.begin(), text.end(), starts_utf8);
}

// Code points of a text that begin before a byte of it; cheap when asked for in order.
class CodePointCount {
 public:
  explicit CodePointCount(std::string_view text) : text_(text) {}
  std::int32_t before(std::size_t byte) {
    while (at_ < byte) { count_ += starts_utf8(text_[at_++]) ? 1 : 0; }
    while (at_ > byte) { count_ -= starts_utf8(text_[--at_]) ? 1 : 0; }
    return count_;
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  std::int32_t count_ = 0;
};

// Offset of the first byte that is no UTF-8; text.size() when all of it is.
inline std::size_t utf8_error(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = decode_utf8(text, at).length;
    if (length == 0) { break; }
    at += length;
  }
  return at;
}

inline bool is_utf8(std::string_view text) {
  return utf8_error(text) == text.size();
}

}  // namespace kappascope
