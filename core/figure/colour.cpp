#include "core/figure/colour.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>

namespace kappascope {
namespace {

// Chosen by search: every pair, and each colour against the grey, is at least 0.12 apart in Oklab
// under normal sight and under simulated (Machado 2009) lack of each of the three cones.
constexpr Colour kPalette[kPaletteSize] = {
    {0x2d, 0x3d, 0xbe}, {0xd2, 0x6c, 0x28}, {0x30, 0xaf, 0xf8}, {0x64, 0x06, 0x02},
    {0xed, 0x9e, 0x2f}, {0x41, 0x11, 0x72}, {0x8c, 0x69, 0x79}, {0x54, 0x71, 0xf5},
    {0x9f, 0x35, 0x01}, {0x6e, 0x41, 0x60}, {0x9f, 0xe4, 0xfa}, {0xf1, 0xd5, 0x89}};
constexpr Colour kGrey{0x9e, 0x9e, 0x9e};

double to_linear(std::uint8_t channel) {
  const double c = channel / 255.0;
  return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
}

std::uint8_t from_linear(double c) {
  c = std::clamp(c, 0.0, 1.0);
  const double encoded = c <= 0.0031308 ? c * 12.92 : 1.055 * std::pow(c, 1 / 2.4) - 0.055;
  return static_cast<std::uint8_t>(std::lround(encoded * 255));
}

Colour from_lightness_chroma_hue(double lightness, double chroma, double degrees) {
  const double angle = degrees * std::numbers::pi / 180;
  return from_oklab({lightness, chroma * std::cos(angle), chroma * std::sin(angle)});
}

}  // namespace

Oklab to_oklab(Colour colour) {
  const double r = to_linear(colour.red), g = to_linear(colour.green), b = to_linear(colour.blue);
  const double l = std::cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const double m = std::cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const double s = std::cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return {0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
          1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
          0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s};
}

Colour from_oklab(Oklab colour) {
  const auto cube = [](double x) { return x * x * x; };
  const double l = cube(colour.lightness + 0.3963377774 * colour.a + 0.2158037573 * colour.b);
  const double m = cube(colour.lightness - 0.1055613458 * colour.a - 0.0638541728 * colour.b);
  const double s = cube(colour.lightness - 0.0894841775 * colour.a - 1.2914855480 * colour.b);
  return {from_linear(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
          from_linear(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
          from_linear(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s)};
}

Colour sequential_colour(double t) {
  t = std::clamp(t, 0.0, 1.0);
  const double chroma = 0.045 + 0.085 * std::sin(std::numbers::pi * std::pow(t, 0.8) * 0.9);
  return from_lightness_chroma_hue(0.97 - 0.68 * t, chroma, 105 + 165 * t);
}

Colour diverging_colour(double t) {
  t = std::clamp(t, -1.0, 1.0);
  const double strength = std::abs(t), chroma = 0.135 * std::pow(strength, 0.8);
  return t < 0 ? from_lightness_chroma_hue(0.975 - 0.635 * strength, chroma, 255)
               : from_lightness_chroma_hue(0.975 - 0.315 * strength, 1.1 * chroma, 55);
}

Colour palette_colour(int i) {
  return i < 0 ? kGrey : kPalette[i % kPaletteSize];
}

Colour on_dark(Colour colour) {
  Oklab lab = to_oklab(colour);
  lab.lightness = 1.02 - 0.82 * lab.lightness;
  return from_oklab(lab);
}

Colour in_grey(Colour colour) {
  static constexpr double kGreys[kPaletteSize] = {0.22, 0.62, 0.42, 0.80, 0.52, 0.32,
                                                  0.71, 0.47, 0.27, 0.37, 0.88, 0.57};
  for (int i = 0; i < kPaletteSize; ++i) {
    if (colour == kPalette[i]) { return from_oklab({kGreys[i], 0, 0}); }
  }
  return from_oklab({to_oklab(colour).lightness, 0, 0});
}

Colour on_white(Colour colour, double opacity) {
  const auto channel = [&](std::uint8_t value) {
    return static_cast<std::uint8_t>(std::lround(255 + (value - 255.0) * opacity));
  };
  return {channel(colour.red), channel(colour.green), channel(colour.blue)};
}

std::string hex(Colour colour) {
  char text[8];
  std::snprintf(text, sizeof text, "#%02x%02x%02x", colour.red, colour.green, colour.blue);
  return text;
}

Colour ink_on(Colour background) {
  return to_oklab(background).lightness > 0.62 ? kInk : Colour{255, 255, 255};
}

}  // namespace kappascope
