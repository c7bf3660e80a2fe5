#include "core/checkpoint/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include "tests/unit/expect_error.h"

namespace kappascope {
namespace {

using testing::error_of;

std::string json_line(std::string_view text) {
  return error_of([&] { parse_json(text, "m.json"); });
}

TEST(ParseJson, BuildsTheDocument) {
  const Json json = parse_json(
      R"( {"a":[1,-2,2.5,true,null,{"b":"\u00e9"}],"c":{},"d":18446744073709551615,"e":[]} )",
      "m.json");
  EXPECT_EQ(json.dump(),
            R"({"a":[1,-2,2.5,true,null,{"b":"é"}],"c":{},"d":18446744073709551615,"e":[]})");
  EXPECT_EQ(parse_json("7", "m.json"), 7);
}

TEST(ParseJson, RefusesWithFileAndOffset) {
  EXPECT_EQ(json_line(R"({"a":1,"a":2})"), "3 m.json: offset 9: duplicate key 'a'");
  EXPECT_EQ(json_line(R"({"x":{"a":1},"y":{"a":1}})"), "no error");
  EXPECT_EQ(json_line("[1e999]"),
            "3 m.json: offset 6: invalid JSON: number overflow parsing '1e999'");
  EXPECT_EQ(json_line(std::string_view("{}\0garbage", 10)), "3 m.json: offset 2: JSON: a NUL byte");
  EXPECT_EQ(json_line("[1,}").substr(0, 33), "3 m.json: offset 3: invalid JSON:");
  for (const char* blank : {"", " ", "\n"}) {
    EXPECT_EQ(json_line(blank), "3 m.json: the file is empty; expected JSON");
  }
  for (const char* bad :
       {"[1", "[NaN]", "[Infinity]", "[-]", "1 2", "[1]]", "{1:2}", "{\"a\"}", "['a']", "\"\xff\"",
        "\"\xed\xa0\x80\"", "\"\\ud800\"", "\"\n\"", "[1,]", "nul", "// c\n1", "\xef\xbb"}) {
    EXPECT_EQ(json_line(bad).substr(0, 17), "3 m.json: offset ") << bad;
  }
}

TEST(ParseJson, LimitsDepth) {
  const auto nested = [](std::size_t depth, char open, char close) {
    return std::string(depth, open) + std::string(depth, close);
  };
  EXPECT_EQ(json_line(nested(64, '[', ']')), "no error");
  EXPECT_EQ(json_line(nested(65, '[', ']')), "3 m.json: offset 64: nested deeper than 64 levels");
  EXPECT_EQ(json_line(std::string(1 << 20, '[')),
            "3 m.json: offset 64: nested deeper than 64 levels");
  std::string objects;
  for (int i = 0; i < 70; ++i) { objects += "{\"a\":"; }
  EXPECT_NE(json_line(objects).find("nested deeper"), std::string::npos);
}

TEST(ParseJson, EveryPrefixAndEveryByteParsesOrFails) {
  const std::string good = R"({"a":[1,-2.5e3,true,null],"é":{"b\n":"\u00e9"}})";
  ASSERT_EQ(json_line(good), "no error");
  for (std::size_t n = 0; n < good.size(); ++n) {
    EXPECT_NE(json_line(std::string_view(good).substr(0, n)), "no error") << n;
  }
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = good;
      changed[i] = static_cast<char>(value);
      json_line(changed);  // anything but an Error would get through
    }
  }
}

TEST(Json, WordsOfPythonForWhatIsNotFinite) {
  const auto parse = [](std::string_view text) {
    return parse_json(text, "f", NotFinite::numbers);
  };
  const Json all = parse(R"({"a":[NaN, Infinity,-Infinity,-1],"NaN":"In\"finity NaN","b":"?"})");
  EXPECT_TRUE(std::isnan(all["a"][0].get<double>()));
  EXPECT_EQ(all["a"][1].get<double>(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(all["a"][2].get<double>(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(all["a"][3], -1);
  EXPECT_EQ(all["NaN"], "In\"finity NaN");
  EXPECT_EQ(all["b"], "?");
  EXPECT_EQ(found_text(all["a"][0]) + found_text(all["a"][1]) + found_text(all["a"][2]),
            "NaNInfinity-Infinity");
  for (const char* text :
       {"{NaN:1}", "[nan]", "[-NaN]", "[--Infinity]", "[NaNN]", "[Infinit]", "NaN1"}) {
    EXPECT_NE(testing::error_of([&] { parse(text); }), "no error") << text;
  }
  EXPECT_NE(testing::error_of([] { parse_json("[NaN]", "f"); }), "no error");
}

}  // namespace
}  // namespace kappascope
