// PNG pictures as bytes: no dates, no libraries but zlib.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/figure/colour.h"

namespace kappascope {

// A row of the picture: palette indices, or red, green, blue of each pixel.
using PngRow = std::function<void(std::int64_t row, std::span<std::uint8_t> pixels)>;

// 8 bits a pixel, indices of `palette` (≤ 256 colours), the first of which is transparent where
// `first_clear`. Empty when more than `most` bytes would be needed: one row at a time is in memory,
// and work stops there.
std::string palette_png(std::int64_t width, std::int64_t height, std::span<const Colour> palette,
                        const PngRow& row, std::size_t most, bool first_clear = false);

// Such a picture with other colours.
void recolour(std::string& palette_png, const std::function<Colour(Colour)>& other);

// 24 bits a pixel, or 32 with `alpha` behind red, green and blue, with its resolution and texts
// (Latin-1 keyword, UTF-8 text) inside.
std::string rgb_png(std::int64_t width, std::int64_t height, double dpi,
                    std::span<const std::pair<std::string, std::string>> texts, const PngRow& row,
                    bool alpha = false);

std::string base64(std::string_view bytes);

}  // namespace kappascope
