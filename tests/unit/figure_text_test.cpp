#include "core/figure/text.h"

#include <gtest/gtest.h>
#include <librsvg/rsvg.h>

namespace kappascope {
namespace {

TEST(PlainText, ControlsAndDirectionsBecomeVisible) {
  EXPECT_EQ(plain_text("a\nb\tc\r"), "a↵b⇥c\\x0D");
  EXPECT_EQ(plain_text(std::string("\0\x1b[31m\x7f", 7)), "\\x00\\x1B[31m\\x7F");
  EXPECT_EQ(plain_text("\u202Eevil\u2066\u2069\u200F"), "\\u202Eevil\\u2066\\u2069\\u200F");
  EXPECT_EQ(plain_text("\u2028\uFEFF\uFFFE"), "\\u2028\\uFEFF\\uFFFE");
  EXPECT_EQ(plain_text("<b>&\"'"), "<b>&\"'");
}

TEST(PlainText, BytesThatAreNoUtf8) {
  EXPECT_EQ(plain_text("\xff\xc3"), "\\xFF\\xC3");
  EXPECT_EQ(plain_text("\xed\xa0\x80"), "\\xED\\xA0\\x80");  // a surrogate
  EXPECT_EQ(plain_text("漢字 שלום 👩\u200D🔬"), "漢字 שלום 👩\u200D🔬");
}

TEST(PlainText, StackedMarksAndLengthAreBounded) {
  std::string marks = "e";
  for (int i = 0; i < 50; ++i) { marks += "\u0301"; }
  EXPECT_EQ(plain_text(marks).size(), 1u + 4 * 2);
  EXPECT_EQ(plain_text(std::string(5000, 'a')), std::string(2000, 'a') + "…");
}

TEST(TokenLabel, BlanksAtTheEndsAreVisible) {
  EXPECT_EQ(token_label(" the"), "␣the");
  EXPECT_EQ(token_label("a b "), "a b␣");
  EXPECT_EQ(token_label("  "), "␣␣");
}

TEST(NumberText, MinusAndPowers) {
  EXPECT_EQ(number_text(-0.5), "−0.5");
  EXPECT_EQ(number_text(0), "0");
  EXPECT_EQ(number_text(1.5e-9), "1.5×10⁻⁹");
  EXPECT_EQ(number_text(std::numeric_limits<double>::quiet_NaN()), "–");
}

TEST(TextMeter, KerningAndSizesAreTheRenderers) {
  FileTextMeter meter;
  const double pair = meter.extent("AV", 10, false).advance;
  EXPECT_LT(pair, meter.extent("A", 10, false).advance + meter.extent("V", 10, false).advance);
  EXPECT_NEAR(meter.width("Token", 20), 2 * meter.width("Token", 10), 1e-9);
  EXPECT_GT(meter.width("Token", 10, true), meter.width("Token", 10));
  EXPECT_EQ(meter.width("", 10), 0);
}

// Where librsvg puts the ink of `text` at a size of 100.
Box drawn(const std::string& text, bool bold, const char* anchor) {
  const std::string svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" xml:space=\"preserve\" width=\"100\" "
      "height=\"100\" font-size=\"100\" font-family=\"" +
      font_families("") + "\" font-weight=\"" + (bold ? "bold" : "normal") +
      "\"><text id=\"t\" text-anchor=\"" + anchor + "\">" + xml_escaped(text) + "</text></svg>";
  RsvgHandle* handle =
      rsvg_handle_new_from_data(reinterpret_cast<const guint8*>(svg.data()), svg.size(), nullptr);
  const RsvgRectangle viewport{0, 0, 100, 100};
  RsvgRectangle ink{};
  EXPECT_TRUE(rsvg_handle_get_geometry_for_layer(handle, "#t", &viewport, &ink, nullptr, nullptr));
  g_object_unref(handle);
  return {ink.x, ink.y, ink.width, ink.height};
}

TEST(TextMeter, MeasuresWhatLibrsvgDraws) {
  FileTextMeter meter;
  constexpr double kTolerance = 0.02;  // of 100: both round to parts of a pixel
  for (const char* text : {"AVATo", "efficient fi ffl", "κ of U^tanh(α·s + b)", "−1.5×10⁻³",
                           "ж e\u0301 \u25B3", "مرحبا", "j", "Expert load, <8> of 64"}) {
    for (const bool bold : {false, true}) {
      SCOPED_TRACE(std::string(text) + (bold ? ", bold" : ""));
      const auto [ink, advance] = meter.extent(text, 100, bold);
      const Box there = drawn(text, bold, "start");
      EXPECT_NEAR(ink.x, there.x, kTolerance);
      EXPECT_NEAR(ink.y, there.y, kTolerance);
      EXPECT_NEAR(ink.width, there.width, kTolerance);
      EXPECT_NEAR(ink.height, there.height, kTolerance);
      EXPECT_NEAR(advance, there.x - drawn(text, bold, "end").x, kTolerance);
    }
  }
}

TEST(TextMeter, BlanksAdvance) {
  FileTextMeter meter;
  EXPECT_GT(meter.extent(" ", 10, false).advance, 2);
  EXPECT_EQ(meter.extent(" ", 10, false).ink.width, 0);
}

TEST(TextMeter, ElidedTextFitsAndKeepsBothEnds) {
  FileTextMeter meter;
  const std::string name = "a-model-of-a-very-long-name-step-123";
  const std::string cut = meter.elide(name, 60, 7);
  EXPECT_LE(meter.width(cut, 7), 60);
  EXPECT_EQ(cut.front(), 'a');
  EXPECT_EQ(cut.back(), '3');
  EXPECT_NE(cut.find("…"), std::string::npos);
  EXPECT_EQ(meter.elide("ab", 60, 7), "ab");
  EXPECT_EQ(meter.elide("ab", 0.5, 7), "");
}

TEST(TextMeter, WrappedLinesFitAndLoseNothing) {
  FileTextMeter meter;
  std::string joined;
  const std::string text = "one two three four five six seven eight nine ten";
  for (const std::string& line : meter.wrap(text, 60, 7, false, 20)) {
    EXPECT_LE(meter.width(line, 7), 60);
    joined += (joined.empty() ? "" : " ") + line;
  }
  EXPECT_EQ(joined, text);
  EXPECT_EQ(meter.wrap(std::string(300, 'x'), 60, 7, false, 3).size(), 3u);
  EXPECT_TRUE(meter.wrap("", 60, 7, false, 3).empty());
}

TEST(TextMeter, MissingGlyphsAreNoted) {
  FileTextMeter meter;
  meter.width("plain text", 7);
  EXPECT_TRUE(meter.missing().empty());
  meter.width("\U000F1234", 7);  // private use: no font has it
  EXPECT_EQ(meter.missing().count(0xF1234), 1u);
}

}  // namespace
}  // namespace kappascope

// Pango keeps the fonts it has met until the process ends, out of the sight of LeakSanitizer.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libfontconfig";
}
