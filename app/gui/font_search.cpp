#include "app/gui/font_search.h"

#include <fontconfig/fontconfig.h>
#include <ft2build.h>
#include FT_FREETYPE_H
#include FT_COLOR_H

#include <algorithm>
#include <climits>

#include "core/error.h"

namespace kappascope::gui {
namespace {

using PatternPtr = std::unique_ptr<FcPattern, decltype(&FcPatternDestroy)>;
using FontSetPtr = std::unique_ptr<FcFontSet, decltype(&FcFontSetDestroy)>;

PatternPtr wanted_pattern(const char* name) {
  PatternPtr wanted(FcNameParse(reinterpret_cast<const FcChar8*>(name)), &FcPatternDestroy);
  FcConfigSubstitute(nullptr, wanted.get(), FcMatchPattern);
  FcDefaultSubstitute(wanted.get());
  return wanted;
}

bool flag(const FcPattern* font, const char* object) {
  FcBool value = FcFalse;
  return FcPatternGetBool(font, object, 0, &value) == FcResultMatch && value;
}

const FcCharSet* characters_of(const FcPattern* font) {
  FcCharSet* set = nullptr;
  return FcPatternGetCharSet(font, FC_CHARSET, 0, &set) == FcResultMatch ? set : nullptr;
}

// A FreeType of our own: Dear ImGui's is the UI thread's.
class FreeType {
 public:
  FreeType() { FT_Init_FreeType(&library_); }
  ~FreeType() { FT_Done_FreeType(library_); }
  FreeType(const FreeType&) = delete;
  FreeType& operator=(const FreeType&) = delete;
  FT_Library library() const { return library_; }

 private:
  FT_Library library_ = nullptr;
};

class Face {
 public:
  Face(const FreeType& freetype, const FontFile& font) {
    FT_New_Memory_Face(freetype.library(), reinterpret_cast<const FT_Byte*>(font.bytes.data()),
                       static_cast<FT_Long>(font.bytes.size()), static_cast<FT_Long>(font.face),
                       &face_);
    if (face_ && FT_Select_Charmap(face_, FT_ENCODING_UNICODE) != 0) { close(); }
  }
  ~Face() { close(); }
  Face(const Face&) = delete;
  Face& operator=(const Face&) = delete;
  explicit operator bool() const { return face_ != nullptr; }
  FT_Face operator->() const { return face_; }
  FT_Face get() const { return face_; }

 private:
  void close() {
    if (face_) { FT_Done_Face(face_); }
    face_ = nullptr;
  }
  FT_Face face_ = nullptr;
};

bool has_pictures(FT_Face face) {
  return !FT_IS_SCALABLE(face) && face->num_fixed_sizes > 0;
}

// True when Dear ImGui can draw it: an outline, layers in colour, or a picture. Fonts that describe
// their colour glyphs otherwise (SVG, gradients) have empty outlines.
bool drawable(FT_Face face, std::uint32_t character) {
  const FT_UInt glyph = FT_Get_Char_Index(face, character);
  if (glyph == 0) { return false; }
  if (has_pictures(face)) { return FT_HAS_COLOR(face); }
  FT_UInt layer = 0, colour = 0;
  FT_LayerIterator layers{};
  if (FT_Get_Color_Glyph_Layer(face, glyph, &layer, &colour, &layers)) { return true; }
  if (!FT_HAS_COLOR(face)) { return true; }
  return FT_Load_Glyph(face, glyph, FT_LOAD_NO_SCALE) == 0 && face->glyph->outline.n_points > 0;
}

std::optional<FontFile> open_font(const FcPattern* pattern, const FreeType& freetype) {
  FcChar8* path = nullptr;
  int index = 0;
  if (FcPatternGetString(pattern, FC_FILE, 0, &path) != FcResultMatch) { return {}; }
  FcPatternGetInteger(pattern, FC_INDEX, 0, &index);
  FontFile font;
  font.path = reinterpret_cast<const char*>(path);
  // A variable font's own entry has marks in the upper half that FreeType does not know.
  font.face = static_cast<std::uint32_t>(flag(pattern, FC_VARIABLE) ? index & 0xFFFF : index);
  try {
    auto file = std::make_shared<InputFile>(InputFile::open(font.path));
    if (file->size() > INT_MAX) { return {}; }
    font.bytes = file->map(0, file->size(), "font");
    font.file = std::move(file);
  } catch (const Error&) {
    return {};  // fontconfig's cache is older than the folder: as if it were not installed
  }
  const Face face(freetype, font);
  if (!face || FT_HAS_SVG(face.get())) { return {}; }
  font.pictures = has_pictures(face.get());
  if (!font.pictures && !FT_IS_SCALABLE(face.get())) { return {}; }
  font.colour = FT_HAS_COLOR(face.get());
  if (!font.pictures && face->units_per_EM > 0) {
    font.height = float(face->ascender - face->descender) / float(face->units_per_EM);
  }
  return font;
}

std::vector<std::uint32_t> common(const FcCharSet* set, const std::set<std::uint32_t>& wanted) {
  std::vector<std::uint32_t> found;
  for (const std::uint32_t character : wanted) {
    if (FcCharSetHasChar(set, character)) { found.push_back(character); }
  }
  return found;
}

// Moves characters from `wanted` to files of `fonts` until none helps. In each step the first font
// that has nearly as many of them as any: few files, and the preferred ones.
void take_fonts(const std::vector<FcPattern*>& fonts, const FreeType& freetype,
                std::set<std::uint32_t>& wanted, FontsFound& found, Progress& progress) {
  std::set<const FcPattern*> tried;
  while (!wanted.empty() && progress.update(Stage::fonts, tried.size(), fonts.size())) {
    std::vector<std::vector<std::uint32_t>> has(fonts.size());
    std::size_t most = 0;
    for (std::size_t i = 0; i < fonts.size(); ++i) {
      const FcCharSet* set = characters_of(fonts[i]);
      if (set && !tried.count(fonts[i])) { has[i] = common(set, wanted); }
      most = std::max(most, has[i].size());
    }
    if (most == 0) { return; }
    std::size_t best = 0;
    while (10 * has[best].size() < 9 * most) { ++best; }
    tried.insert(fonts[best]);
    std::optional<FontFile> font = open_font(fonts[best], freetype);
    if (!font) { continue; }
    const Face face(freetype, *font);
    std::size_t useful = 0;
    for (const std::uint32_t character : has[best]) {
      if (drawable(face.get(), character)) { useful += wanted.erase(character); }
    }
    if (useful > 0) { found.files.push_back(std::move(*font)); }
  }
}

}  // namespace

std::optional<FontFile> nearest_font(const char* pattern) {
  const PatternPtr wanted = wanted_pattern(pattern);
  FcResult result = FcResultMatch;
  const PatternPtr match(FcFontMatch(nullptr, wanted.get(), &result), &FcPatternDestroy);
  if (!match) { return {}; }
  return open_font(match.get(), FreeType());
}

FontsFound find_fonts(const std::set<std::uint32_t>& characters, Progress& progress) {
  const PatternPtr wanted = wanted_pattern("DejaVu Sans");
  FcResult result = FcResultMatch;
  const FontSetPtr sorted(FcFontSort(nullptr, wanted.get(), FcFalse, nullptr, &result),
                          &FcFontSetDestroy);
  std::vector<FcPattern*> outlines, pictures;
  for (int i = 0; sorted && i < sorted->nfont; ++i) {
    FcPattern* font = sorted->fonts[i];
    if (flag(font, FC_COLOR)) {
      pictures.push_back(font);
    } else if (flag(font, FC_OUTLINE)) {
      outlines.push_back(font);
    }
  }
  FontsFound found;
  found.missing = characters;
  const FreeType freetype;
  take_fonts(outlines, freetype, found.missing, found, progress);
  take_fonts(pictures, freetype, found.missing, found, progress);
  return found;
}

}  // namespace kappascope::gui
