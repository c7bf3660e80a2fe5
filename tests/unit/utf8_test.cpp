#include "core/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace kappascope {
namespace {

std::string encode(char32_t c) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) { return {static_cast<char>(c)}; }
  if (c < 0x800) { return {static_cast<char>(0xC0 | c >> 6), tail(0)}; }
  if (c < 0x10000) { return {static_cast<char>(0xE0 | c >> 12), tail(6), tail(0)}; }
  return {static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0)};
}

TEST(Utf8, EveryCodePointAndNoSurrogate) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    const std::string bytes = encode(c);
    const CodePoint point = decode_utf8(bytes, 0);
    if (c >= 0xD800 && c < 0xE000) {
      ASSERT_EQ(point.length, 0U) << std::uint32_t{c};
    } else {
      ASSERT_EQ(point.length, bytes.size()) << std::uint32_t{c};
      ASSERT_EQ(point.value, c);
      ASSERT_FALSE(is_utf8(bytes.substr(0, bytes.size() - 1) + (bytes.size() > 1 ? "" : "\xFF")));
    }
  }
}

TEST(Utf8, WhatIsNoUtf8) {
  for (const char* bytes : {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF",
                            "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5",
                            "\xFE", "\xFF", "\xC3", "\xE2\x82", "\xE2\x28\xA1", "\xF0\x9F\x98"}) {
    EXPECT_EQ(utf8_error(std::string("ab\xC3\xA9") + bytes), 4U) << bytes;
  }
  EXPECT_EQ(utf8_error(""), 0U);
}

}  // namespace
}  // namespace kappascope
