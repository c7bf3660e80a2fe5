#include "core/tokenizer/splitter.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/tokenizer/pattern.h"

namespace kappascope {
namespace {

using Pieces = std::vector<std::string>;

Pieces pieces_of(const std::string& pattern, const std::string& text,
                 PatternLanguage language = PatternLanguage::rust) {
  const Splitter splitter(pattern, language, "tok.pkl");
  Splitter::Scan scan(splitter, "text");
  scan.start(text);
  Pieces pieces;
  for (std::string_view piece; scan.next(piece);) { pieces.emplace_back(piece); }
  return pieces;
}

Failure pattern_failure(const std::string& pattern, const std::string& text = "") {
  try {
    pieces_of(pattern, text);
  } catch (const Error& error) { return error.failure(); }
  return {};
}

std::string repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) { out += text; }
  return out;
}

const char* const kPattern =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|)"
    R"(\s*[\r\n]|\s+(?!\S)|\s+)";

TEST(Splitter, WordsNumbersSpaces) {
  EXPECT_EQ(pieces_of(kPattern, "It'S 1234 naïve!!\n\n  end  "),
            (Pieces{"It", "'S", " ", "12", "34", " naïve", "!!\n\n", " ", " end", "  "}));
  // The Kelvin sign and the long s are letters that fold to ASCII ones.
  EXPECT_EQ(pieces_of("(?i:k)|(?i:s)", "\u212A\u017F"), (Pieces{"\u212A", "\u017F"}));
}

TEST(Splitter, SpaceIsUnicodesOwn) {
  EXPECT_EQ(pieces_of(R"(\s+|\S+)", "a\u180E\u00A0\u3000b\u200B"),
            (Pieces{"a\u180E", "\u00A0\u3000", "b\u200B"}));
}

TEST(Splitter, UnmatchedTextAndEmptyMatchesAreSkipped) {
  EXPECT_EQ(pieces_of("b+", "aébb\u4E2Dbaa"), (Pieces{"bb", "b"}));
  EXPECT_EQ(pieces_of("b*", "abba"), (Pieces{"bb"}));
  EXPECT_EQ(pieces_of("", "abc"), Pieces{});
  EXPECT_EQ(pieces_of("(?<=a)b", "bab"), (Pieces{"b"}));
}

// Windows of the text are tried first: no length may change what a match is.
TEST(Splitter, PiecesOfEveryLengthAcrossTheWindows) {
  for (int length = 1; length < 700; length += length < 140 ? 1 : 37) {
    const std::string spaces(static_cast<std::size_t>(length), ' ');
    const std::string word = repeat("é", length);
    Pieces expected = {word};
    if (length > 1) { expected.push_back(spaces.substr(1)); }
    expected.push_back(" x");
    EXPECT_EQ(pieces_of(kPattern, word + spaces + "x"), expected) << length;
    EXPECT_EQ(pieces_of(kPattern, spaces), Pieces{spaces}) << length;
    EXPECT_EQ(pieces_of(kPattern, spaces + "\nx"), (Pieces{spaces + "\n", "x"})) << length;
  }
}

TEST(Splitter, MegabytesInOnePiece) {
  for (const char c : {'a', ' ', '-'}) {
    const std::string text(2 << 20, c);
    EXPECT_TRUE(pieces_of(kPattern, text) == Pieces{text}) << c;
  }
}

TEST(Splitter, CostlyPatternsStop) {
  const std::string run(100000, 'a');
  for (const char* pattern :
       {"(a+)+$", "(?:a|a)*b", "(?:a*)*b|.", "a++b|a", "a(?=a*+b)|a", "a*?b|a", "(?:a?a?)*b"}) {
    const Failure failure = pattern_failure(pattern, run + "!");
    EXPECT_EQ(failure.code, ExitCode::damaged) << pattern;
    EXPECT_NE(failure.message.find("tok.pkl: the pattern costs too much at byte "),
              std::string::npos)
        << failure.message;
    EXPECT_NE(failure.message.find(" of text"), std::string::npos) << failure.message;
  }
  EXPECT_EQ(pattern_failure("(a+)+$", repeat("a", 60) + "!").code, ExitCode::damaged);
}

TEST(Splitter, HugePatternsAreRefusedOrCompileSmall) {
  EXPECT_EQ(pattern_failure(repeat("(", 200) + "a" + repeat(")", 200)).code, ExitCode::unsupported);
  EXPECT_EQ(pattern_failure("(?:(?:a{0,999}){0,999}){0,999}").code, ExitCode::unsupported);
  EXPECT_EQ(pattern_failure(std::string(kLongestPattern + 1, 'a')).code, ExitCode::unsupported);
  EXPECT_EQ(pattern_failure(std::string(kLongestPattern, 'a')).code, ExitCode::ok);
}

TEST(Pattern, KnownOnesAreKept) {
  for (const std::string same :
       {R"(a\pZ\P{Zs}[^\r\n\p{Zs}\x{3042}\]\-]?+(?>b|c)(?=d)(?!e)(?<=f)(?<!g)(?:h)(i)++j{1,3}?$)",
        R"((?i:'s)(?s-i:.)(?m)^\A\z\d[]a-z][^]])"}) {
    EXPECT_EQ(pcre2_pattern(same, PatternLanguage::rust, "t"), same);
  }
  EXPECT_EQ(pcre2_pattern(R"(\s[^\S]\\s)", PatternLanguage::rust, "t"),
            R"(\p{White_Space}[^\P{White_Space}]\\s)");
}

// Emoji and letters of Unicode 15, whatever this system's PCRE2 knows of them.
TEST(Pattern, CharactersNewerThanPcre2AreOfTheirCategory) {
  EXPECT_EQ(pieces_of(R"(\p{S}+|\P{S}+)", "a🫨💖b🩷"), (Pieces{"a", "🫨💖", "b", "🩷"}));
  EXPECT_EQ(pieces_of(R"([^\s\p{S}]+|[\p{S}z]+)", "a🫨z b"), (Pieces{"a", "🫨z", "b"}));
  EXPECT_EQ(pieces_of(R"(\pL+|\PL+)", "\U0001E4D0a🫨"), (Pieces{"\U0001E4D0a", "🫨"}));
  EXPECT_EQ(pieces_of(R"(\p{Nd}+)", "1\U0001E4F0"), (Pieces{"1\U0001E4F0"}));
  EXPECT_EQ(pieces_of(R"(\w+)", "a\U0001E4D0", PatternLanguage::oniguruma), Pieces{"a\U0001E4D0"});
}

// Oniguruma's: letters in circles and numbers of letters are, and ² outside a class alone.
TEST(Pattern, WordsOfOniguruma) {
  const auto pieces = [](const char* pattern, const std::string& text) {
    return pieces_of(pattern, text, PatternLanguage::oniguruma);
  };
  EXPECT_EQ(pieces(R"(\w+)", "a\u2167\u24D0\u00B2\u3007"), (Pieces{"a\u2167\u24D0\u00B2\u3007"}));
  EXPECT_EQ(pieces(R"([\w]+|[^\w]+)", "a\u24D0\u00B2"), (Pieces{"a\u24D0", "\u00B2"}));
  EXPECT_EQ(pieces(R"(\W+|\w+)", "!\u2460\u00B2"), (Pieces{"!\u2460", "\u00B2"}));
  EXPECT_THROW(pieces(R"(\pL+)", "a"), Error);  // the letters pL
}

TEST(Pattern, WhatMeansSomethingElseInPcre2IsRefusedByName) {
  for (const std::string bad : {R"(\w)",
                                R"(\W)",
                                R"(\b)",
                                R"(\K)",
                                R"(\C)",
                                R"(\R)",
                                R"(\X)",
                                R"(\h)",
                                R"(\v)",
                                R"(\Q)",
                                R"(\1)",
                                R"(\G)",
                                R"(\Z)",
                                R"(\u0041)",
                                R"([\A])",
                                R"(\p{Han})",
                                R"(\p{^L})",
                                R"(\p{L&})",
                                R"(\p{L)",
                                R"(\p)",
                                R"(\p{})",
                                R"([a&&b])",
                                R"([a--b])",
                                R"([a~~b])",
                                R"([[:alpha:]])",
                                R"([a[b]])",
                                R"((*LIMIT_MATCH=9)a)",
                                R"((?C1))",
                                R"((?R))",
                                R"((?1))",
                                R"((?P<n>a))",
                                R"((?<n>a))",
                                R"((?|a))",
                                R"((?#c))",
                                R"((?x:a))",
                                R"((?(1)a))",
                                R"((?i--s:a))",
                                R"((?)",
                                R"((?i)",
                                "\\",
                                R"((?i)\p{Lu})",
                                R"((?i:(?:[\p{Ll}])))"}) {
    const Failure failure = pattern_failure(bad);
    EXPECT_EQ(failure.code, ExitCode::unsupported) << bad;
    EXPECT_NE(failure.message.find("not supported"), std::string::npos) << failure.message;
  }
  EXPECT_EQ(pattern_failure(R"((?i:a)\p{Lu}(?i:(?-i:\p{Ll})))").code, ExitCode::ok);
  EXPECT_EQ(pattern_failure("a)").code, ExitCode::unsupported);
  EXPECT_EQ(pattern_failure("[a").code, ExitCode::unsupported);
}

}  // namespace
}  // namespace kappascope
