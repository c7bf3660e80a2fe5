// Where a part of one trace is in another: the same tokens, other tokens of the same text, another
// text, other layers.
#include <gtest/gtest.h>

#include "core/figure/counterparts.h"
#include "tests/unit/stats_fixture.h"

namespace kappascope {
namespace {

// A hand-made trace of words, each a token, with places in the text.
struct Worded {
  HandTrace hand;
  std::vector<std::int32_t> ids, starts, ends;

  Worded(const std::vector<std::string>& words, std::int64_t layers = 2, std::int64_t experts = 4)
      : hand(layers, std::int64_t(words.size()), experts, 2) {
    for (const std::string& word : words) {
      ids.push_back(std::int32_t(std::hash<std::string>()(word) % 1000));
      starts.push_back(ends.empty() ? 0 : ends.back());
      ends.push_back(starts.back() + std::int32_t(word.size()));
    }
    hand.trace.token_text = words;
    hand.trace.token_id = ids;
    hand.trace.char_start = starts;
    hand.trace.char_end = ends;
  }
  const Trace& trace() const { return hand.trace; }
};

TEST(Counterparts, OfTheSameTokensAreTheSame) {
  const Worded a({"ab", "c", "de"}), b({"ab", "c", "de"}, 3);
  const Counterparts parts(a.trace(), b.trace());
  EXPECT_TRUE(parts.same_tokens());
  EXPECT_EQ(parts.note(), "");
  const Subject at{.row = 1, .token = 2, .slot = 1, .expert = 3};
  EXPECT_EQ(parts.there(at), at);
  EXPECT_EQ(parts.back(at), at);
  EXPECT_EQ(parts.back({.row = 2, .token = 0, .slot = 0, .expert = 1}),
            (Subject{.row = -1, .token = 0, .slot = 0, .expert = -1}));
}

TEST(Counterparts, OfOtherTokensFollowTheCharacters) {
  const Worded a({"ab", "c", "de"}), b({"a", "bc", "d", "e"}, 2, 2);
  const Counterparts parts(a.trace(), b.trace());
  EXPECT_FALSE(parts.same_tokens());
  EXPECT_NE(parts.note().find("4 tokens instead of 3"), std::string::npos) << parts.note();
  EXPECT_EQ(parts.there({.token = 2}).token, 2);
  EXPECT_EQ(parts.there({.token = 1}).token, 0);  // within the stretch "abc"
  EXPECT_EQ(parts.back({.token = 3}).token, 2);
  EXPECT_EQ(parts.there({.row = 0, .expert = 3}).expert, -1);
  EXPECT_EQ(parts.there({.row = 0, .expert = 1}).expert, 1);
}

TEST(Counterparts, OfAsManyOtherTokensSayNoNumber) {
  const Worded a({"ab", "c"}), b({"a", "bc"});
  EXPECT_EQ(Counterparts(a.trace(), b.trace()).note(),
            "other tokens of this text: the selection follows its characters");
}

TEST(Counterparts, OfAnotherTextHaveNoToken) {
  const Worded a({"ab", "c"}), b({"xy", "z"});
  const Counterparts parts(a.trace(), b.trace());
  EXPECT_EQ(parts.note().find("another text"), 0U);
  EXPECT_EQ(parts.there({.row = 1, .token = 1}), (Subject{.row = 1, .token = -1}));
}

}  // namespace
}  // namespace kappascope
