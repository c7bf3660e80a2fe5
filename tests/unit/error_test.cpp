#include "core/error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <sstream>

#include "tests/unit/expect_error.h"

namespace kappascope {
namespace {

using testing::error_of;

TEST(Printable, KeepsTextAndEscapesWhatMovesTheCursor) {
  EXPECT_EQ(printable("naïve 語 🙂 a\\b"), "naïve 語 🙂 a\\b");
  EXPECT_EQ(printable("a\nb\r\t\x1b[31m\x7f"), "a\\x0ab\\x0d\\x09\\x1b[31m\\x7f");
  EXPECT_EQ(printable("\xc2\x85\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6"),
            "\\xc2\\x85\\xe2\\x80\\xa8\\xe2\\x80\\xae\\xe2\\x81\\xa6");
  EXPECT_EQ(printable(std::string_view("\0a", 2)), "\\x00a");
}

TEST(Printable, EscapesBytesThatAreNoUtf8) {
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(printable("\xe2\x82z"), "\\xe2\\x82z");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");                    // overlong
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // over U+10FFFF
}

TEST(Describe, LeavesOutWhatIsUnknown) {
  EXPECT_EQ(describe({"f.pt", "w", 7}, "bad"), "f.pt: tensor w: offset 7: bad");
  EXPECT_EQ(describe({{}, "w", -1}, "bad"), "tensor w: bad");
  EXPECT_EQ(describe({"a\nb", {}, 0}, "c\nd"), "a\\x0ab: offset 0: c\\x0ad");
  EXPECT_LT(describe({{}, std::string(1 << 20, 'n'), -1}, "bad").size(), 5000U);
}

template <typename Part>
void expect_as_streamed(const Part& part) {
  std::ostringstream stream;
  stream << '<' << part << '>';
  EXPECT_EQ(join_words('<', part, '>'), stream.str());
}

TEST(JoinWords, NumbersAreAsAStreamWritesThem) {
  for (const double real : {0.0, -0.0, 0.1, -1.5, 1e6, 1234567.0, 1e-5, 2.0 / 3, 1e300, 5e-324,
                            double(INFINITY), -double(INFINITY)}) {
    expect_as_streamed(real);
  }
  expect_as_streamed(0.1F);
  expect_as_streamed(std::numeric_limits<std::int64_t>::min());
  expect_as_streamed(std::numeric_limits<std::uint64_t>::max());
  expect_as_streamed(-7);
  expect_as_streamed(true);
  EXPECT_EQ(join_words(NAN), "nan");
  EXPECT_EQ(join_words(std::uint8_t{65}), "65");  // a number all the same
  EXPECT_EQ(join_words(), "");
  EXPECT_EQ(join_words("a", 'b', std::string("c"), std::string_view("d\0e", 3)),
            std::string("abcd\0e", 6));
}

TEST(Require, ThrowsCodeAndLine) {
  EXPECT_EQ(error_of([] { require(true, ExitCode::io, {}, "unused"); }), "no error");
  EXPECT_EQ(error_of([] { require(false, ExitCode::io, {"f", {}, -1}, "found ", 3); }),
            "5 f: found 3");
}

TEST(Faults, ReportsAllWithTheGravestCode) {
  Faults faults("f.pt");
  EXPECT_TRUE(faults.empty());
  faults.throw_if_any();
  faults.add(ExitCode::unsupported, "a", "one");
  EXPECT_EQ(error_of([&] { faults.throw_if_any(); }), "4 f.pt: tensor a: one");
  faults.add(ExitCode::damaged, {}, "two ", 2);
  faults.add(ExitCode::unsupported, "c", "three");
  EXPECT_EQ(error_of([&] { faults.throw_if_any(); }),
            "3 f.pt: tensor a: one; two 2; tensor c: three");
}

TEST(Faults, CountsThoseItDoesNotList) {
  Faults faults("f");
  for (int i = 0; i < 21; ++i) { faults.add(ExitCode::damaged, {}, "x", i); }
  const std::string line = error_of([&] { faults.throw_if_any(); });
  EXPECT_NE(line.find("x19; … 21 faults in all"), std::string::npos) << line;
  EXPECT_EQ(line.find("x20"), std::string::npos);
}

}  // namespace
}  // namespace kappascope
