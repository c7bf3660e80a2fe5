#include "app/gui/picture_glyphs.h"

#include <ft2build.h>
#include <imgui.h>
#include <imgui_internal.h>
#include FT_FREETYPE_H

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

namespace kappascope::gui {
namespace {

// Pictures take their line from a little below the baseline to about the height of capitals.
constexpr float kBelowBaseline = 0.17F, kHeight = 0.98F;  // of the em square
constexpr float kEm = 1 / 1.164F;                         // of the text's size, as DejaVu Sans has

struct Source {
  FT_Library library = nullptr;
  FT_Face face = nullptr;
  ~Source() {
    if (face) { FT_Done_Face(face); }
    if (library) { FT_Done_FreeType(library); }
  }
};

Source& source_of(ImFontConfig* config) {
  return *static_cast<Source*>(config->FontLoaderData);
}

bool open_source(ImFontAtlas*, ImFontConfig* config) {
  auto source = std::make_unique<Source>();
  const bool opened =
      FT_Init_FreeType(&source->library) == 0 &&
      FT_New_Memory_Face(source->library, static_cast<const FT_Byte*>(config->FontData),
                         config->FontDataSize, static_cast<FT_Long>(config->FontNo),
                         &source->face) == 0 &&
      source->face->num_fixed_sizes > 0 &&
      FT_Select_Size(source->face, source->face->num_fixed_sizes - 1) == 0;
  if (opened) { config->FontLoaderData = source.release(); }
  return opened;
}

void close_source(ImFontAtlas*, ImFontConfig* config) {
  delete static_cast<Source*>(config->FontLoaderData);
  config->FontLoaderData = nullptr;
}

int glyph_of(ImFontAtlas*, ImFontConfig* config, ImWchar character) {
  return static_cast<int>(FT_Get_Char_Index(source_of(config).face, character));
}

bool has_glyph(ImFontAtlas*, ImFontConfig* config, int glyph) {
  return glyph > 0 && glyph < source_of(config).face->num_glyphs;
}

// Pixels of a premultiplied BGRA picture, each the mean of the area that it covers there, as R, G,
// B, A not premultiplied.
std::vector<std::uint8_t> scaled(const FT_Bitmap& picture, int width, int height) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(width) * std::size_t(height) * 4);
  const auto edge = [](int i, unsigned size, int n) {
    return static_cast<int>(std::int64_t{i} * size / n);
  };
  for (int y = 0; y < height; ++y) {
    const int top = edge(y, picture.rows, height);
    const int bottom = std::max(top + 1, edge(y + 1, picture.rows, height));
    for (int x = 0; x < width; ++x) {
      const int left = edge(x, picture.width, width);
      const int right = std::max(left + 1, edge(x + 1, picture.width, width));
      std::array<int, 4> sum{};
      for (int row = top; row < bottom; ++row) {
        const std::uint8_t* from = picture.buffer + row * picture.pitch + 4 * left;
        for (int i = 0; i < 4 * (right - left); ++i) { sum[i % 4] += from[i]; }
      }
      std::uint8_t* to = &pixels[(std::size_t(y) * std::size_t(width) + std::size_t(x)) * 4];
      if (sum[3] == 0) { continue; }
      for (std::size_t i = 0; i < 3; ++i) {
        to[i] = static_cast<std::uint8_t>(std::min(255, sum[2 - i] * 255 / sum[3]));
      }
      to[3] = static_cast<std::uint8_t>(sum[3] / ((bottom - top) * (right - left)));
    }
  }
  return pixels;
}

bool load_glyph(ImFontAtlas* atlas, ImFontConfig* config, ImFontBaked* baked, void*, int glyph,
                ImFontGlyph* out, float* only_advance) {
  const FT_Face face = source_of(config).face;
  if (FT_Load_Glyph(face, static_cast<FT_UInt>(glyph), FT_LOAD_COLOR | FT_LOAD_DEFAULT) != 0) {
    return false;
  }
  const FT_Bitmap& picture = face->glyph->bitmap;
  if (picture.pixel_mode != FT_PIXEL_MODE_BGRA || picture.rows == 0 || picture.width == 0) {
    return false;
  }
  const float em = baked->Size * kEm, density = baked->RasterizerDensity;
  const float shown_height = em * kHeight;
  const float shown_width = shown_height * float(picture.width) / float(picture.rows);
  const float advance = std::ceil(shown_width + 0.1F * em);
  if (only_advance) {
    *only_advance = advance;
    return true;
  }
  const int width = std::max(1, int(std::lround(shown_width * density)));
  const int height = std::max(1, int(std::lround(shown_height * density)));
  const ImFontAtlasRectId id = ImFontAtlasPackAddRect(atlas, width, height);
  if (id == ImFontAtlasRectId_Invalid) { return false; }
  ImTextureRect* place = ImFontAtlasPackGetRect(atlas, id);
  const std::vector<std::uint8_t> pixels = scaled(picture, width, height);
  out->AdvanceX = advance;
  out->X0 = std::floor(0.05F * em + 0.5F);
  out->Y1 = std::floor(baked->Ascent + kBelowBaseline * em + 0.5F);
  out->X1 = out->X0 + float(width) / density;
  out->Y0 = out->Y1 - float(height) / density;
  out->Visible = true;
  out->Colored = true;
  out->PackId = id;
  ImFontAtlasBakedSetFontGlyphBitmap(atlas, baked, config, out, place, pixels.data(),
                                     ImTextureFormat_RGBA32, width * 4);
  return true;
}

}  // namespace

const ImFontLoader& picture_glyph_loader() {
  static const ImFontLoader loader = [] {
    ImFontLoader made;
    made.Name = "pictures";
    made.FontSrcInit = open_source;
    made.FontSrcDestroy = close_source;
    made.FontSrcGetGlyphIndexFromCodepoint = glyph_of;
    made.FontSrcContainsGlyph = has_glyph;
    made.FontBakedLoadGlyph = load_glyph;
    return made;
  }();
  return loader;
}

}  // namespace kappascope::gui
