// The signs that byte-level tokenizers write bytes with: visible ASCII and Latin-1 as they are, the
// others from U+0100 on.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/utf8.h"

namespace kappascope {

// Byte → code point.
inline std::array<char32_t, 256> byte_signs() {
  std::array<char32_t, 256> signs{};
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool visible = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
    signs[byte] = visible ? byte : next++;
  }
  return signs;
}

// Reads spellings of such a tokenizer.
class ByteSigns {
 public:
  ByteSigns() {
    byte_of_.fill(-1);
    const auto signs = byte_signs();
    for (std::size_t byte = 0; byte < signs.size(); ++byte) {
      byte_of_[signs[byte]] = static_cast<std::int16_t>(byte);
    }
  }

  // The bytes that `spelling` (UTF-8) means; false where it has other signs.
  bool decode(std::string_view spelling, std::string& bytes) const {
    bytes.clear();
    for (std::size_t at = 0; at < spelling.size();) {
      const CodePoint sign = decode_utf8(spelling, at);
      if (sign.value >= byte_of_.size() || byte_of_[sign.value] < 0) { return false; }
      bytes += static_cast<char>(byte_of_[sign.value]);
      at += sign.length;
    }
    return true;
  }

 private:
  std::array<std::int16_t, 0x100 + 68> byte_of_{};  // code point → byte; −1: no sign
};

}  // namespace kappascope
