// Colours of figures: even to the eye, readable in grey and with colour blindness.
#pragma once

#include <cstdint>
#include <string>

namespace kappascope {

struct Colour {
  std::uint8_t red = 0, green = 0, blue = 0;
  bool operator==(const Colour&) const = default;
};

// Oklab (Ottosson 2020): lightness 0…1, a towards red, b towards yellow.
struct Oklab {
  double lightness, a, b;
};

Oklab to_oklab(Colour colour);
// The nearest sRGB colour of 8 bits; channels outside the gamut are cut.
Colour from_oklab(Oklab colour);

// t = 0 palest … 1 darkest, lightness falls evenly; cut to [0,1].
Colour sequential_colour(double t);
// t = −1 dark blue … 0 nearly white … 1 light orange; cut to [−1,1]. Blue darkens twice as fast, so
// that in grey the two sides are not the same.
Colour diverging_colour(double t);
// Colour i of the palette, repeated after kPaletteSize; grey below zero.
Colour palette_colour(int i);
inline constexpr int kPaletteSize = 12;

// The same picture on dark paper: light and dark change places, hues stay.
Colour on_dark(Colour colour);
// For printing without colours: those of the palette far apart, all others by their lightness.
Colour in_grey(Colour colour);
// `colour` with that opacity in front of white.
Colour on_white(Colour colour, double opacity);

inline constexpr Colour kNoValueColour{200, 200, 200};  // cells without a value
inline constexpr Colour kInk{26, 26, 26};               // axes and text
inline constexpr Colour kQuietInk{95, 95, 95};          // small print

std::string hex(Colour colour);  // "#1a1a1a"

// Black or white, whichever is read better on `background`.
Colour ink_on(Colour background);

}  // namespace kappascope
