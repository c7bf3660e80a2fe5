#include "core/figure/text.h"

#include <fontconfig/fontconfig.h>
#include <pango/pangocairo.h>
#include <utf8proc.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "core/threads.h"

namespace kappascope {
namespace {

constexpr std::size_t kMostCharacters = 2000;
constexpr int kMostMarks = 4;  // combining marks on one character

std::string escaped_code(const char* form, unsigned value) {
  char text[16];
  std::snprintf(text, sizeof text, form, value);
  return text;
}

bool is_noncharacter(utf8proc_int32_t code) {
  return (code & 0xFFFE) == 0xFFFE || (code >= 0xFDD0 && code <= 0xFDEF);
}

// Format characters that join or vary letters and move nothing else.
bool is_harmless_format(utf8proc_int32_t code) {
  return code == 0x200C || code == 0x200D;
}

bool is_combining(utf8proc_category_t category) {
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME;
}

// What replaces a code point that must not be drawn as it is; "" when it may.
std::string replacement(utf8proc_int32_t code) {
  if (code == '\n') { return "↵"; }
  if (code == '\t') { return "⇥"; }
  const auto category = utf8proc_category(code);
  const bool unseen = category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
                      category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
  if ((!unseen || is_harmless_format(code)) && !is_noncharacter(code)) { return ""; }
  if (code < 0x100) { return escaped_code("\\x%02X", static_cast<unsigned>(code)); }
  return escaped_code(code < 0x10000 ? "\\u%04X" : "\\U%06X", static_cast<unsigned>(code));
}

// Byte offsets at which `text` may be cut without tearing a character, both ends included.
std::vector<std::size_t> cuts(const std::string& text) {
  std::vector<std::size_t> result{0};
  utf8proc_int32_t before = -1, state = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto [code, length] = next_code(std::string_view(text).substr(at));
    if (before >= 0 && code >= 0 && utf8proc_grapheme_break_stateful(before, code, &state)) {
      result.push_back(at);
    }
    before = code;
    at += length;
  }
  if (!text.empty()) { result.push_back(text.size()); }
  return result;
}

// A line that ends in the middle dot between two parts is better without it.
std::string without_separator(std::string line) {
  const std::string_view dot = " ·";
  if (line.size() > dot.size() && line.ends_with(dot)) { line.resize(line.size() - dot.size()); }
  return line;
}

// Characters that a line of `room` is taken to hold at most: fewer than that are measured.
std::size_t most_characters(double room, double size) {
  return static_cast<std::size_t>(std::max(4.0, room / (0.2 * size)));
}
std::size_t guess(double room, double size) {
  return static_cast<std::size_t>(std::max(0.0, room / (0.58 * size)));
}

// Largest n in [low, high) for which fits(n), taken to hold for low; searched from `start`
// outwards, because measuring costs more the longer the text is.
template <typename Fits>
std::size_t largest(std::size_t low, std::size_t high, std::size_t start, const Fits& fits) {
  for (std::size_t step = 2; low + 1 < high; step *= 2) {
    const std::size_t n = std::clamp(start, low + 1, high - 1);
    const bool fitting = fits(n);
    (fitting ? low : high) = n;
    start = fitting ? low + step : high - std::min(high, step);
    if (2 * step >= high - low) { start = (low + high) / 2; }
  }
  return low;
}

constexpr double kReferenceSize = 100;

struct Unref {
  void operator()(gpointer object) const { g_object_unref(object); }
};
template <typename T>
using Owned = std::unique_ptr<T, Unref>;

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(' ');
  if (first == std::string::npos) { return ""; }
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

}  // namespace

std::pair<std::int32_t, std::size_t> next_code(std::string_view text) {
  utf8proc_int32_t code = -1;
  const auto length =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                       static_cast<utf8proc_ssize_t>(std::min<std::size_t>(text.size(), 4)), &code);
  if (length <= 0) { return {-1, 1}; }
  return {code, static_cast<std::size_t>(length)};
}

std::string plain_text(std::string_view raw) {
  std::string result;
  std::size_t characters = 0;
  int marks = 0;
  while (!raw.empty()) {
    if (++characters > kMostCharacters) { return result + "…"; }
    const auto [code, length] = next_code(raw);
    const std::string_view bytes = raw.substr(0, length);
    raw.remove_prefix(length);
    if (code < 0) {
      result += escaped_code("\\x%02X", static_cast<unsigned char>(bytes[0]));
      continue;
    }
    marks = is_combining(utf8proc_category(code)) ? marks + 1 : 0;
    if (marks > kMostMarks) { continue; }
    const std::string instead = replacement(code);
    result += instead.empty() ? std::string(bytes) : instead;
  }
  return result;
}

std::string token_label(std::string_view raw) {
  std::string text = plain_text(raw);
  const auto first = text.find_first_not_of(' ');
  std::string result;
  const std::size_t last = text.find_last_not_of(' ');
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool end = first == std::string::npos || i < first || i > last;
    result += end ? std::string("␣") : std::string(1, text[i]);
  }
  return result;
}

std::string superscript(int power) {
  static constexpr const char* kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string result = power < 0 ? "⁻" : "";
  for (const char c : std::to_string(std::abs(power))) { result += kDigits[c - '0']; }
  return result;
}

std::string count_text(std::int64_t n) {
  std::string text = std::to_string(n);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > (n < 0 ? 1 : 0); at -= 3) {
    text.insert(static_cast<std::size_t>(at), ",");
  }
  return text;
}

std::string number_text(double value, int digits) {
  if (std::isnan(value)) { return "–"; }
  if (std::isinf(value)) { return value < 0 ? "−∞" : "∞"; }
  char text[64];
  std::snprintf(text, sizeof text, "%.*g", digits, std::abs(value));
  std::string result = text;
  const auto exponent = result.find('e');
  if (exponent != std::string::npos) {
    const int power = std::stoi(result.substr(exponent + 1));
    result = result.substr(0, exponent) + "×10" + superscript(power);
  }
  return (value < 0 && result != "0" ? "−" : "") + result;
}

std::string xml_escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

// The fonts of one family: how long their text is, and which characters any of them has.
class FileTextMeter::Fonts {
 public:
  explicit Fonts(const std::string& family) {
    // Pango starts two threads at its first text and ends the process when it cannot.
    [[maybe_unused]] static const bool threads = (require_threads(3), true);
    find_covered(family);
    const Owned<PangoContext> context(
        pango_font_map_create_context(pango_cairo_font_map_get_default()));
    // As librsvg has it: what is not hinted scales with the size.
    pango_context_set_round_glyph_positions(context.get(), FALSE);
    cairo_font_options_t* options = cairo_font_options_create();
    cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
    pango_cairo_context_set_font_options(context.get(), options);
    cairo_font_options_destroy(options);
    regular_ = layout_of(context.get(), family, PANGO_WEIGHT_NORMAL);
    bold_ = layout_of(context.get(), family, PANGO_WEIGHT_BOLD);
  }
  ~Fonts() {
    if (covered_) { FcCharSetDestroy(covered_); }
  }
  Fonts(const Fonts&) = delete;
  Fonts& operator=(const Fonts&) = delete;

  bool has(std::uint32_t code) const {
    return covered_ && FcCharSetHasChar(covered_, static_cast<FcChar32>(code));
  }

  // At kReferenceSize.
  TextExtent measured(const std::string& text, bool bold) {
    PangoLayout* line = (bold ? bold_ : regular_).get();
    pango_layout_set_text(line, text.data(), static_cast<int>(text.size()));
    PangoRectangle ink, logical;
    pango_layout_get_extents(line, &ink, &logical);
    const auto pixels = [](int units) { return static_cast<double>(units) / PANGO_SCALE; };
    return {{pixels(ink.x), pixels(ink.y - pango_layout_get_baseline(line)), pixels(ink.width),
             pixels(ink.height)},
            pixels(logical.width)};
  }

 private:
  void find_covered(const std::string& family) {
    FcPattern* wanted = FcPatternCreate();
    for (const std::string& name : {family, std::string(kUsualFont)}) {
      if (name.empty()) { continue; }
      FcPatternAddString(wanted, FC_FAMILY, reinterpret_cast<const FcChar8*>(name.c_str()));
    }
    FcConfigSubstitute(nullptr, wanted, FcMatchPattern);
    FcDefaultSubstitute(wanted);
    FcResult result = FcResultMatch;
    FcFontSet* set = FcFontSort(nullptr, wanted, FcTrue, &covered_, &result);
    if (set) { FcFontSetDestroy(set); }
    FcPatternDestroy(wanted);
  }

  static Owned<PangoLayout> layout_of(PangoContext* context, const std::string& family,
                                      PangoWeight weight) {
    const std::string names =
        (family.empty() ? "" : family + ",") + std::string(kUsualFont) + ",sans-serif";
    PangoFontDescription* font = pango_font_description_new();
    pango_font_description_set_family(font, names.c_str());
    pango_font_description_set_weight(font, weight);
    pango_font_description_set_absolute_size(font, kReferenceSize * PANGO_SCALE);
    Owned<PangoLayout> result(pango_layout_new(context));
    pango_layout_set_font_description(result.get(), font);
    pango_font_description_free(font);
    pango_layout_set_single_paragraph_mode(result.get(), TRUE);
    // librsvg names a letter spacing, of 0, too: Pango then forms no ligatures.
    PangoAttrList* attributes = pango_attr_list_new();
    pango_attr_list_insert(attributes, pango_attr_letter_spacing_new(0));
    pango_layout_set_attributes(result.get(), attributes);
    pango_attr_list_unref(attributes);
    return result;
  }

  FcCharSet* covered_ = nullptr;
  Owned<PangoLayout> regular_, bold_;
};

void require_fonts() {
  FileTextMeter::Fonts fonts("");
  // Some systems then measure nothing, others characters that are metres wide.
  const double advance = fonts.measured("figure", false).advance / kReferenceSize;
  require(fonts.has('f') && fonts.has('0') && advance > 0.5 && advance < 12, ExitCode::io, {},
          "no font is installed that has letters and digits, figures cannot hold text; install "
          "one, for example the package fonts-dejavu-core");
}

bool has_font(const std::string& family) {
  if (family.find_first_of("'\"\\,") != family.npos) { return false; }  // no name has these
  FcPattern* wanted = FcPatternCreate();
  FcPatternAddString(wanted, FC_FAMILY, reinterpret_cast<const FcChar8*>(family.c_str()));
  FcObjectSet* asked = FcObjectSetBuild(FC_FAMILY, nullptr);
  FcFontSet* found = FcFontList(nullptr, wanted, asked);
  const bool any = found && found->nfont > 0;
  if (found) { FcFontSetDestroy(found); }
  FcObjectSetDestroy(asked);
  FcPatternDestroy(wanted);
  return any;
}

std::string font_families(const std::string& family) {
  const std::string usual = std::string("'") + kUsualFont + "', sans-serif";
  return family.empty() ? usual : "'" + xml_escaped(family) + "', " + usual;
}

FileTextMeter::FileTextMeter(const std::string& family)
    : TextMeter(family), fonts_(std::make_unique<Fonts>(family)) {}
FileTextMeter::~FileTextMeter() = default;

void FileTextMeter::note_missing(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto [code, length] = next_code(rest);
    rest.remove_prefix(length);
    if (code <= ' ' || is_harmless_format(code) || (code >= 0xFE00 && code <= 0xFE0F)) { continue; }
    if (!fonts_->has(static_cast<std::uint32_t>(code))) {
      missing_.insert(static_cast<std::uint32_t>(code));
    }
  }
}

TextExtent FileTextMeter::extent(const std::string& text, double size, bool bold) {
  auto [entry, is_new] = known_.try_emplace({bold, text});
  if (is_new) { entry->second = fonts_->measured(text, bold); }
  note_missing(text);
  // Shaping is unhinted: boxes scale with the size.
  const double scale = size / kReferenceSize;
  const auto& [ink, advance] = entry->second;
  return {{ink.x * scale, ink.y * scale, ink.width * scale, ink.height * scale}, advance * scale};
}

double TextMeter::width(const std::string& text, double size, bool bold) {
  const TextExtent extent = this->extent(text, size, bold);
  return std::max({extent.ink.right(), extent.ink.width, extent.advance});
}

std::string TextMeter::elide(const std::string& text, double room, double size, bool bold) {
  const std::vector<std::size_t> at = cuts(text);
  const std::size_t most = most_characters(room, size);
  const bool may_fit = at.size() <= most + 1;
  if (may_fit && width(text, size, bold) <= room) { return text; }
  const auto kept = [&](std::size_t n) {  // n characters, the larger half in front
    const std::size_t front = (n + 1) / 2, back = n / 2;
    return text.substr(0, at[front]) + "…" + text.substr(at[at.size() - 1 - back]);
  };
  const auto fits = [&](std::size_t n) { return width(kept(n), size, bold) <= room; };
  const std::size_t n = largest(0, std::min(at.size() - 1, most), guess(room, size), fits);
  return n == 0 && width("…", size, bold) > room ? "" : kept(n);
}

std::vector<std::string> TextMeter::wrap(const std::string& text, double room, double size,
                                         bool bold, std::size_t most) {
  std::vector<std::string> lines;
  std::string rest = trimmed(text);
  while (!rest.empty()) {
    const std::vector<std::size_t> at = cuts(rest);
    const std::size_t longest = most_characters(room, size);
    if (lines.size() + 1 == most || (at.size() <= longest + 1 && width(rest, size, bold) <= room)) {
      lines.push_back(elide(rest, room, size, bold));
      break;
    }
    const auto fits = [&](std::size_t n) {
      return width(rest.substr(0, at[n]), size, bold) <= room;
    };
    // At least one character a line.
    const std::size_t n = largest(1, std::min(at.size() - 1, longest), guess(room, size), fits);
    std::size_t end = at[n];
    const std::size_t blank = rest.rfind(' ', end);
    if (blank != std::string::npos && blank > end / 3) { end = blank; }
    lines.push_back(without_separator(trimmed(rest.substr(0, end))));
    rest = trimmed(rest.substr(end));
  }
  return lines;
}

}  // namespace kappascope
