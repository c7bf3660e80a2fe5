// Steps of a tokenizer.json's normalizer, a character at a time.
#include "core/tokenizer/normalizer.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace kappascope {
namespace {

std::string normalized(const Normalizer& normalizer, const std::string& text) {
  AlignedText aligned(text, 0);
  normalizer.apply(aligned, "text");
  return std::string(aligned.text());
}

// As `tokenizers` does it (normalizers/unicode.rs, do_nmt): each of these and their neighbours.
TEST(Normalizer, NmtTakesControlCharactersOutAndMakesSpaces) {
  const Normalizer nmt = Normalizer::read({{"type", "Nmt"}}, "tokenizer.json");
  std::set<char32_t> gone{0xB, 0x7F, 0x8F, 0x9F};
  for (char32_t code = 1; code <= 8; ++code) { gone.insert(code); }
  for (char32_t code = 0xE; code <= 0x1F; ++code) { gone.insert(code); }
  std::set<char32_t> spaces{9, 0xA, 0xC, 0xD, 0x1680, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD};
  for (char32_t code = 0x200B; code <= 0x200F; ++code) { spaces.insert(code); }
  std::set<char32_t> tried = gone;
  tried.insert(spaces.begin(), spaces.end());
  for (const char32_t code : std::set<char32_t>(tried)) { tried.insert({code - 1, code + 1}); }
  tried.erase(0);
  for (const char32_t code : tried) {
    std::string text = "a";
    append_utf8(text, code);
    const std::string expected = gone.contains(code)     ? ""
                                 : spaces.contains(code) ? " "
                                                         : text.substr(1);
    EXPECT_EQ(normalized(nmt, text + "b"), "a" + expected + "b") << std::uint32_t(code);
  }
}

}  // namespace
}  // namespace kappascope
