#include "app/gui/fonts.h"

#include <misc/freetype/imgui_freetype.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "app/gui/picture_glyphs.h"
#include "core/utf8.h"

namespace kappascope::gui {
namespace {

constexpr std::uint32_t kCharacters = 0x110000;
constexpr int kMostSources = 15;  // Dear ImGui counts the fonts of a merged one in four bits

// What has no glyph of its own: controls, spaces, joiners, direction marks, variation selectors.
bool has_no_glyph(std::uint32_t c) {
  return c <= ' ' || (c >= 0x7F && c <= 0xA0) || c == 0xAD || (c >= 0x2000 && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202F) || (c >= 0x205F && c <= 0x206F) || c == 0x3000 ||
         (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF || (c & 0xFFFE) == 0xFFFE ||
         (c >= 0xFDD0 && c <= 0xFDEF) || (c >= 0xE0000 && c <= 0xE0FFF);
}

struct Range {
  std::uint32_t first, last;
};

// Ascending. Scripts of Unicode 15 that join letters, reorder them, place marks by the letter or
// run from right to left; and marks and signs that change the character before them.
constexpr Range kShaped[] = {
    {0x0300, 0x036F},    // combining marks
    {0x0590, 0x08FF},    // Hebrew, Arabic, Syriac, Thaana, NKo, Samaritan, Mandaic
    {0x0900, 0x0FFF},    // Indic scripts, Sinhala, Thai, Lao, Tibetan
    {0x1000, 0x109F},    // Myanmar
    {0x1100, 0x11FF},    // Hangul letters that are not joined to syllables
    {0x1700, 0x18AF},    // Philippine scripts, Khmer, Mongolian
    {0x1900, 0x194F},    // Limbu
    {0x1A00, 0x1CFF},    // Buginese, Tai Tham, Balinese, Sundanese, Batak, Lepcha, Vedic
    {0x1DC0, 0x1DFF},    // combining marks
    {0x200D, 0x200D},    // joiner
    {0x20D0, 0x20FF},    // combining marks for symbols
    {0xA800, 0xA82F},    // Syloti Nagri
    {0xA840, 0xA8FF},    // Phags-pa, Saurashtra, Devanagari
    {0xA930, 0xAAFF},    // Rejang, Hangul letters, Javanese, Myanmar, Cham, Tai Viet, Meetei Mayek
    {0xABC0, 0xABFF},    // Meetei Mayek
    {0xD7B0, 0xD7FF},    // Hangul letters
    {0xFB1D, 0xFDCF},    // presentation forms of Hebrew and Arabic
    {0xFDF0, 0xFDFF},    //
    {0xFE20, 0xFE2F},    // combining half marks
    {0xFE70, 0xFEFE},    //
    {0x10800, 0x10FFF},  // scripts from right to left
    {0x11000, 0x11FFF},  // Brahmi and its kin
    {0x1E800, 0x1EFFF},  // Mende Kikakui, Adlam, Arabic mathematics
    {0x1F1E6, 0x1F1FF},  // letters that make flags in pairs
    {0x1F3FB, 0x1F3FF},  // skin tones
};

// Calls `visit` with each character of `text`; bytes that are no UTF-8 are passed over.
template <typename Visit>
void each_character(std::string_view text, const Visit& visit) {
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint code = decode_utf8(text, at);
    if (code.length > 0) { visit(static_cast<std::uint32_t>(code.value)); }
    at += std::max<std::size_t>(code.length, 1);
  }
}

}  // namespace

Fonts::Fonts() : known_(kCharacters) {
  const std::optional<FontFile> text = nearest_font("DejaVu Sans");
  const std::optional<FontFile> heavy = nearest_font("DejaVu Sans:bold");
  const std::optional<FontFile> narrow = nearest_font("DejaVu Sans Mono");
  if (text && !text->pictures) {
    height_ = text->height;
    regular = add(*text, nullptr, false);
    bold = add(heavy && !heavy->pictures ? *heavy : *text, nullptr, !heavy);
    mono = add(narrow && !narrow->pictures ? *narrow : *text, nullptr, false);
  }
  if (!regular) { regular = ImGui::GetIO().Fonts->AddFontDefaultVector(); }
  if (!bold) { bold = regular; }
  if (!mono) { mono = regular; }
  // What the text face has, the others have too.
  if (text && bold != regular) { add(*text, bold, true); }
  if (text && mono != regular) { add(*text, mono, false); }
}

Fonts::~Fonts() = default;

// Adds `font` to the atlas: as a font of its own or merged `into` one. Null: it cannot be used.
ImFont* Fonts::add(const FontFile& font, ImFont* into, bool embolden) {
  if (into && into->Sources.Size >= kMostSources) { return nullptr; }
  const FontFile& kept =
      in_use_.emplace(font.path + "#" + std::to_string(font.face), font).first->second;
  ImFontConfig config;
  config.FontData = const_cast<std::byte*>(kept.bytes.data());  // only read
  config.FontDataSize = static_cast<int>(kept.bytes.size());
  config.FontDataOwnedByAtlas = false;
  config.FontNo = kept.face;
  config.MergeMode = into != nullptr;
  config.DstFont = into;
  // Faces are set to equal ascent + descent; letters are alike when em squares are.
  if (into) { config.ExtraSizeScale = std::clamp(kept.height / height_, 0.7F, 1.6F); }
  if (kept.pictures) { config.FontLoader = &picture_glyph_loader(); }
  if (kept.colour && !kept.pictures) {
    config.FontLoaderFlags |= ImGuiFreeTypeLoaderFlags_LoadColor;
  }
  if (embolden && !kept.colour) { config.FontLoaderFlags |= ImGuiFreeTypeLoaderFlags_Bold; }
  const std::string name = font.path.substr(font.path.rfind('/') + 1);
  std::copy_n(name.begin(), std::min(name.size(), std::size(config.Name) - 1), config.Name);
  return ImGui::GetIO().Fonts->AddFont(&config);
}

void Fonts::add_fallback(const FontFile& font) {
  add(font, regular, false);
  if (bold != regular) { add(font, bold, true); }
  if (mono != regular) { add(font, mono, false); }
}

void Fonts::need(std::string_view text) {
  each_character(text, [this](std::uint32_t character) {
    if (known_[character]) { return; }
    known_[character] = true;
    if (!has_no_glyph(character) && !regular->IsGlyphInFont(character)) {
      wanted_.insert(character);
    }
  });
}

bool Fonts::update(JobQueue& jobs) {
  bool changed = false;
  if (search_ && search_->done) {
    for (const FontFile& font : search_->found.files) { add_fallback(font); }
    missing_.insert(search_->found.missing.begin(), search_->found.missing.end());
    search_ = nullptr;
    ++generation_;
    changed = true;
  }
  // A search that was cancelled says nothing.
  if (search_ && !search_->done && jobs.idle()) {
    wanted_.merge(search_->wanted);
    search_ = nullptr;
  }
  if (!search_ && !wanted_.empty()) {
    search_ = std::make_shared<Search>();
    search_->wanted.swap(wanted_);
    auto work = [search = search_](Progress& progress) {
      auto found = std::make_shared<FontsFound>(find_fonts(search->wanted, progress));
      return [search, found] {
        search->found = std::move(*found);
        search->done = true;
      };
    };
    jobs.add("Looking for fonts", work,
             [search = search_](const Failure&) { search->done = true; });
  }
  return changed;
}

bool Fonts::needs_shaping(std::uint32_t character) {
  const auto* const range =
      std::lower_bound(std::begin(kShaped), std::end(kShaped), character,
                       [](const Range& a, std::uint32_t c) { return a.last < c; });
  return range != std::end(kShaped) && range->first <= character;
}

}  // namespace kappascope::gui
