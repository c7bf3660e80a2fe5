#include "app/gui/text_layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/tokenizer/tokenizer.h"
#include "core/utf8.h"

namespace kappascope::gui {
namespace {

using Lines = std::vector<std::string>;

// Every character is 10 pixels wide; U+E000 is in no font.
class TenPixels final : public TextMeasure {
 public:
  float letters(std::string_view text) const override {
    int count = 0;
    for (std::size_t at = 0; at < text.size(); at += decode_utf8(text, at).length) { ++count; }
    return 10.0f * static_cast<float>(count);
  }
  float code(std::string_view text) const override { return letters(text) + 4; }
  std::size_t fitting(std::string_view text, float room) const override {
    std::size_t at = 0;
    do {
      at += decode_utf8(text, at).length;
    } while (at < text.size() &&
             letters(text.substr(0, at + decode_utf8(text, at).length)) <= room);
    return at;
  }
  bool is_missing(std::uint32_t character) const override { return character == 0xE000; }
};

// A text of these tokens, laid out.
struct Text {
  Trace trace;
  std::vector<std::int32_t> ids, starts;
  TextLayout layout;

  explicit Text(const std::vector<std::string>& tokens) {
    trace.tokens = static_cast<std::int64_t>(tokens.size());
    for (const std::string& token : tokens) {
      ids.push_back(1000 + static_cast<std::int32_t>(ids.size()));
      starts.push_back(token == "<|bos|>" ? -1 : 0);
      trace.token_bytes_hex.push_back(hex_text(token));
      trace.token_text.push_back(display_text(token));
    }
    trace.token_id = ids;
    trace.char_start = starts;
  }
  Text(const Text&) = delete;

  void lay_out(float width, bool raw = false, std::int64_t at_once = 1000) {
    layout.start(width, raw);
    while (!layout.complete(trace)) { layout.go_on(trace, TenPixels(), at_once); }
  }

  // Each line as it is seen: a frame as [ ], a tab as →, the end of a line as ↵, the rest of a
  // character as ·, a space that takes no room as nothing.
  Lines lines() const {
    Lines all;
    for (std::size_t line = 0; line < layout.lines(); ++line) {
      std::string seen;
      for (std::size_t i = layout.first_piece(line); i < layout.end_piece(line); ++i) {
        const TextPiece& piece = layout.piece(i);
        const std::string text(layout.text(piece));
        switch (piece.kind) {
          case TextPiece::Kind::letters:
            seen += text;
            break;
          case TextPiece::Kind::spaces:
            if (piece.width > 0) { seen += text; }
            break;
          case TextPiece::Kind::tab:
            seen += "→";
            break;
          case TextPiece::Kind::line_feed:
            seen += "↵";
            break;
          case TextPiece::Kind::rest:
            seen += "·";
            break;
          case TextPiece::Kind::code:
            seen += "[" + text + "]";
            break;
        }
      }
      all.push_back(seen);
    }
    return all;
  }
};

Lines lines_of(const std::vector<std::string>& tokens, float width = 100, bool raw = false) {
  Text text(tokens);
  text.lay_out(width, raw);
  return text.lines();
}

TEST(TextLayout, LinesEndBetweenWords) {
  EXPECT_EQ(lines_of({"The", " king", " went", " out"}), (Lines{"The king", "went out"}));
  EXPECT_EQ(lines_of({"The king went out"}), (Lines{"The king", "went out"}));  // within a token
  EXPECT_EQ(lines_of({"1234567890"}), Lines{"1234567890"});
  EXPECT_EQ(lines_of({"12345", " 7890"}), Lines{"12345 7890"});
  EXPECT_EQ(lines_of({"12345", " 78901"}), (Lines{"12345", "78901"}));
  // A word of several tokens stays together.
  EXPECT_EQ(lines_of({"one", " cat", "alog", "ue"}), (Lines{"one", "catalogue"}));
}

TEST(TextLayout, WordsThatAreTooLongAreCut) {
  EXPECT_EQ(lines_of({"abcdefghijklmnopqrstuvwxy"}), (Lines{"abcdefghij", "klmnopqrst", "uvwxy"}));
  EXPECT_EQ(lines_of({"ab", " cdefghijklmnop"}), (Lines{"ab", "cdefghijkl", "mnop"}));
  EXPECT_EQ(lines_of({"abcdef", "ghijkl"}), (Lines{"abcdef", "ghijkl"}));  // between its tokens
  EXPECT_EQ(lines_of({"abcdef", "ghijklmnopqrs"}), (Lines{"abcdefghij", "klmnopqrs"}));
  // Nothing of the second token has room behind the first.
  EXPECT_EQ(lines_of({"abcdefghij", "klmnopqrstuvw"}), (Lines{"abcdefghij", "klmnopqrst", "uvw"}));
  EXPECT_EQ(lines_of({"äöüß"}, 20), (Lines{"äö", "üß"}));
  EXPECT_EQ(lines_of({"ab", " c"}, 5), (Lines{"a", "b", "c"}));  // one letter at least
}

TEST(TextLayout, LineFeedsEndLines) {
  EXPECT_EQ(lines_of({"a\n", "b", "\n", "\n", "c"}), (Lines{"a↵", "b↵", "↵", "c"}));
  EXPECT_EQ(lines_of({"1234567890\n", "x"}), (Lines{"1234567890↵", "x"}));  // stands beyond the end
  EXPECT_EQ(lines_of({"a", "\n"}), (Lines{"a↵", ""}));
  EXPECT_EQ(lines_of({"a\n\nb"}), (Lines{"a↵", "↵", "b"}));
}

TEST(TextLayout, SpacesKeepTheirRoomWithinALineAndWhereTheyAreShown) {
  EXPECT_EQ(lines_of({"a", "  ", "b"}), Lines{"a  b"});
  EXPECT_EQ(lines_of({" a"}), Lines{" a"});                 // nothing was broken before
  EXPECT_EQ(lines_of({"a\n", " b"}), (Lines{"a↵", " b"}));  // nor here
  EXPECT_EQ(lines_of({"1234567890", "  x"}), (Lines{"1234567890", "  x"}));  // an indent
  EXPECT_EQ(lines_of({"1234567890", " ", "x"}), (Lines{"1234567890", "x"}));
  EXPECT_EQ(lines_of({"1234567890", " x"}, 100, true), (Lines{"1234567890", " x"}));  // raw
  EXPECT_EQ(lines_of({"a\tb", "c"}), Lines{"a→bc"});
  EXPECT_EQ(lines_of({"abcdefg", "\t", "h"}), (Lines{"abcdefg", "→h"}));
}

TEST(TextLayout, WhatCannotBeDrawnStandsInAFrame) {
  EXPECT_EQ(lines_of({"<|bos|>", "Hi"}, 200), Lines{"[<|bos|>]Hi"});
  EXPECT_EQ(lines_of({"\xff\xfe"}, 200), Lines{"[\\xff\\xfe]"});
  EXPECT_EQ(lines_of({std::string("\0", 1), "\x1b"}, 200), (Lines{"[\\x00][\\x1B]"}));
  EXPECT_EQ(lines_of({"\u202E"}, 200), Lines{"[\\u202E]"});
  EXPECT_EQ(lines_of({"\uE000"}, 200), Lines{"[U+E000]"});
  EXPECT_EQ(lines_of({"", "a"}, 200), Lines{"[#1000]a"});
  EXPECT_EQ(lines_of({"abcdef", "\xff"}), (Lines{"abcdef", "[\\xff]"}));
}

TEST(TextLayout, ACharacterOfSeveralTokensStandsInTheFirst) {
  const std::vector<std::string> octopus = {"a\xf0\x9f", "\x90",
                                            "\x99"
                                            "b"};
  EXPECT_EQ(lines_of(octopus), Lines{"a🐙··b"});
  EXPECT_EQ(lines_of(octopus, 300, true), Lines{"a[\\xf0\\x9f][\\x90][\\x99]b"});
  EXPECT_EQ(lines_of({"1234567", "\xe6\xbc", "\xa2"}, 80), (Lines{"1234567", "漢·"}));
  EXPECT_EQ(lines_of({"\xe6\xbc", "x"}, 300), Lines{"[\\xe6\\xbc]x"});  // it never comes
  EXPECT_EQ(lines_of({"\xe6\xbc"}, 300), Lines{"[\\xe6\\xbc]"});
  EXPECT_EQ(lines_of({"漢字漢字"}, 30), (Lines{"漢字漢", "字"}));
}

TEST(TextLayout, AnEmptyTextIsOneEmptyLine) {
  Text text({});
  text.lay_out(100);
  EXPECT_TRUE(text.layout.complete(text.trace));
  EXPECT_EQ(text.lines(), Lines{""});
  EXPECT_EQ(text.layout.line_of(0), 0u);
  EXPECT_EQ(text.layout.token_at(0, 50), -1);
}

TEST(TextLayout, APlaceLeadsToItsToken) {
  Text text({"The", " king", " went", " out\n", "\n", "abcdefghijklmno"});
  text.lay_out(100);
  ASSERT_EQ(text.lines(), (Lines{"The king", "went out↵", "↵", "abcdefghij", "klmno"}));
  const TextLayout& layout = text.layout;
  EXPECT_EQ(layout.token_at(0, 29), 0);
  EXPECT_EQ(layout.token_at(0, 31), 1);
  EXPECT_EQ(layout.token_at(0, 1e6f), 1);
  EXPECT_EQ(layout.token_at(0, -1e6f), 0);
  EXPECT_EQ(layout.token_at(1, 0), 2);
  EXPECT_EQ(layout.token_at(1, 45), 3);
  EXPECT_EQ(layout.token_at(2, 45), 4);
  EXPECT_EQ(layout.token_at(4, 10), 5);
  const std::size_t lines[] = {0, 0, 1, 1, 2, 3};
  for (std::int64_t t = 0; t < 6; ++t) { EXPECT_EQ(layout.line_of(t), lines[t]) << t; }
}

// Tokens of all kinds in any order, at any width.
std::vector<std::string> any_tokens(std::mt19937& random) {
  const std::vector<std::string> kinds = {
      "a",    " the",     "  ",      "\n",      "longwordwithoutend",
      "漢",   "\xf0\x9f", "\x90",    "\t",      " b\nc",
      "\xff", "\u202E",   " x y z ", "<|bos|>", "\x99",
      ""};
  std::vector<std::string> tokens;
  for (int i = 0; i < 60; ++i) { tokens.push_back(kinds[random() % kinds.size()]); }
  return tokens;
}

TEST(TextLayout, EveryTokenHasAPlaceWithinTheWidth) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    Text text(any_tokens(random));
    const float width = 5 + static_cast<float>(random() % 300);
    text.lay_out(width, round % 2 == 1);
    const TextLayout& layout = text.layout;
    std::int64_t token = -1;
    for (std::size_t line = 0; line < layout.lines(); ++line) {
      float x = 0;
      for (std::size_t i = layout.first_piece(line); i < layout.end_piece(line); ++i) {
        const TextPiece& piece = layout.piece(i);
        ASSERT_EQ(piece.x, x) << round << ", line " << line;
        x += piece.width;
        // What cannot be cut stands at the start of its line, the mark of an end anywhere.
        const bool cut = piece.kind == TextPiece::Kind::letters && !piece.wide && piece.length > 1;
        ASSERT_TRUE(x <= width || (piece.x == 0 && !cut) ||
                    piece.kind == TextPiece::Kind::line_feed)
            << round << ", line " << line << ": " << x << " of " << width;
        ASSERT_TRUE(piece.token == token || piece.token == token + 1);
        if (piece.token > token) { ASSERT_EQ(layout.line_of(piece.token), line); }
        token = piece.token;
        if (piece.width > 0) { ASSERT_EQ(layout.token_at(line, piece.x + piece.width / 2), token); }
      }
    }
    EXPECT_EQ(token, text.trace.tokens - 1);
    const Lines at_once = text.lines();
    text.lay_out(width, round % 2 == 1, 1);
    EXPECT_EQ(text.lines(), at_once) << round;  // however many tokens a frame
  }
}

}  // namespace
}  // namespace kappascope::gui
