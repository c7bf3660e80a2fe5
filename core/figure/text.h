// Text of figures: made harmless, measured with the very engine that draws it, cut and wrapped.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kappascope {

struct Box {
  double x = 0, y = 0, width = 0, height = 0;  // y grows downwards, as in SVG

  double right() const { return x + width; }
  double bottom() const { return y + height; }
  bool holds(const Box& other) const {
    return other.x >= x && other.y >= y && other.right() <= right() && other.bottom() <= bottom();
  }
  bool overlaps(const Box& other) const {
    return x < other.right() && other.x < right() && y < other.bottom() && other.y < bottom();
  }
};

struct TextExtent {
  Box ink;             // of the black of the letters, relative to the start on the baseline
  double advance = 0;  // where the next letter would start
};

// `raw` as one line of valid UTF-8 that XML can hold and that cannot reorder its surroundings: line
// feed ↵, tab ⇥; other control characters, direction controls, noncharacters and
// bytes that are no UTF-8 as \xNN or \uNNNN; at most four combining marks on a character; at most
// 2,000 characters (then …).
std::string plain_text(std::string_view raw);

// Next code point of `text` (not empty) and its length; −1 and 1 for a byte that is not UTF-8.
std::pair<std::int32_t, std::size_t> next_code(std::string_view text);

// A token as a label: plain_text with blanks at its ends made visible (␣).
std::string token_label(std::string_view raw);

// Decimal text of a finite number with a true minus sign, "–" for NaN; `digits` significant ones.
std::string number_text(double value, int digits = 3);

std::string count_text(std::int64_t n);  // "12,345"

std::string superscript(int power);  // "⁻³"

// Measures text with the engine that draws it, and cuts and wraps it by that.
class TextMeter {
 public:
  virtual ~TextMeter() = default;
  TextMeter(const TextMeter&) = delete;
  TextMeter& operator=(const TextMeter&) = delete;

  // `text` (plain) starting at (0, 0) on the baseline, in the unit of `size`.
  virtual TextExtent extent(const std::string& text, double size, bool bold) = 0;
  double width(const std::string& text, double size, bool bold = false);  // ink and advance

  // `text`, or its ends with … between them when it is wider than `room`. "" when nothing fits.
  std::string elide(const std::string& text, double room, double size, bool bold = false);

  // Lines no wider than `room`, broken at blanks where possible; after `most` lines the last is
  // elided.
  std::vector<std::string> wrap(const std::string& text, double room, double size, bool bold,
                                std::size_t most);

  const std::string& family() const { return family_; }  // "": the usual one

  // Characters met since forget_missing() for which no installed font has a glyph.
  const std::set<std::uint32_t>& missing() const { return missing_; }
  void forget_missing() { missing_.clear(); }

 protected:
  explicit TextMeter(std::string family = "") : family_(std::move(family)) {}
  std::set<std::uint32_t> missing_;

 private:
  std::string family_;
};

// As librsvg draws text in files, which sets it by Pango, too: same fonts, fallback, kerning and
// shaping. It remembers what it measured: one object for many figures, used by one thread.
class FileTextMeter final : public TextMeter {
 public:
  // `family`: an installed font that comes first; "": the usual one.
  explicit FileTextMeter(const std::string& family = "");
  ~FileTextMeter() override;

  TextExtent extent(const std::string& text, double size, bool bold) override;

 private:
  friend void require_fonts();
  class Fonts;
  void note_missing(const std::string& text);

  std::unique_ptr<Fonts> fonts_;
  std::map<std::pair<bool, std::string>, TextExtent> known_;  // at size 100
};

// Nothing can be drawn or measured without a font: io, naming what to install.
void require_fonts();

// Markup characters of `text` as entities, for an XML text or attribute.
std::string xml_escaped(std::string_view text);

inline constexpr const char* kUsualFont = "DejaVu Sans";
// Whether a font of exactly this family is installed (capitals do not matter).
bool has_font(const std::string& family);
// As SVG names it: the family, if any, then what takes its place for letters that it lacks.
std::string font_families(const std::string& family);

}  // namespace kappascope
