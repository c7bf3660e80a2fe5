// Text that comes token by token: whole characters, and nothing of a stop text.
#include <gtest/gtest.h>

#include "app/said_text.h"

namespace kappascope {
namespace {

// What is said of bytes that come as these pieces, with '|' between what comes together.
std::string said(SaidText text, std::initializer_list<std::string_view> pieces) {
  std::string result;
  for (const std::string_view piece : pieces) { result += text.add(piece) + "|"; }
  return result + text.finish();
}

TEST(SaidTextTest, CharactersAreWhole) {
  EXPECT_EQ(said(SaidText({}), {"a\xe6", "\x97", "\xa5", "b"}), "a||日|b|");
  EXPECT_EQ(said(SaidText({}), {"\xf0\x9f", "\x98\x80"}), "|😀|");
  // What cannot become a character, is none.
  EXPECT_EQ(said(SaidText({}), {"\xff", "\xe6z", "\xe6\x97"}),
            "\xef\xbf\xbd|\xef\xbf\xbdz||"
            "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(SaidTextTest, AStopTextAndWhatFollowsIsNotSaid) {
  const std::vector<std::string> stops{"\n\n", "END"};
  EXPECT_EQ(said(SaidText(stops), {"one\n", "\ntwo"}), "one||");
  EXPECT_EQ(said(SaidText(stops), {"one\n", "two"}), "one|\ntwo|");
  EXPECT_EQ(said(SaidText(stops), {"E", "N", "E", "ND", "x"}), "||EN|||");
  EXPECT_EQ(said(SaidText(stops), {"a E"}), "a |E");
  SaidText text(stops);
  text.add("say EN");
  EXPECT_FALSE(text.stopped());
  text.add("D or not");
  EXPECT_TRUE(text.stopped());
  EXPECT_EQ(text.text(), "say ");
  EXPECT_EQ(text.finish(), "");
}

}  // namespace
}  // namespace kappascope
