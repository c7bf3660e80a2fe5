#include "core/figure/colour.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace kappascope {
namespace {

double distance(Colour a, Colour b) {
  const Oklab p = to_oklab(a), q = to_oklab(b);
  return std::sqrt(std::pow(p.lightness - q.lightness, 2) + std::pow(p.a - q.a, 2) +
                   std::pow(p.b - q.b, 2));
}

using Matrix = std::array<std::array<double, 3>, 3>;

// Machado, Oliveira and Fernandes 2009, severity 1, on linear light: sight without long-, middle-
// and short-wave cones.
constexpr std::array<Matrix, 3> kSights = {{{{{0.152286, 1.052583, -0.204868},
                                              {0.114503, 0.786281, 0.099216},
                                              {-0.003882, -0.048116, 1.051998}}},
                                            {{{0.367322, 0.860646, -0.227968},
                                              {0.280085, 0.672501, 0.047413},
                                              {-0.011820, 0.042940, 0.968881}}},
                                            {{{1.255528, -0.076749, -0.178779},
                                              {-0.078411, 0.930809, 0.147602},
                                              {0.004733, 0.691367, 0.303900}}}}};

Colour seen(const Matrix& sight, Colour colour) {
  const auto linear = [](std::uint8_t c) {
    const double v = c / 255.0;
    return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
  };
  const std::array<double, 3> light = {linear(colour.red), linear(colour.green),
                                       linear(colour.blue)};
  std::array<std::uint8_t, 3> result{};
  for (std::size_t i = 0; i < 3; ++i) {
    double v = 0;
    for (std::size_t k = 0; k < 3; ++k) { v += sight[i][k] * light[k]; }
    v = std::min(1.0, std::max(0.0, v));
    v = v <= 0.0031308 ? v * 12.92 : 1.055 * std::pow(v, 1 / 2.4) - 0.055;
    result[i] = static_cast<std::uint8_t>(std::lround(v * 255));
  }
  return {result[0], result[1], result[2]};
}

TEST(Oklab, ThereAndBack) {
  for (int i = 0; i < 4096; ++i) {
    const Colour c{static_cast<std::uint8_t>(i % 16 * 17),
                   static_cast<std::uint8_t>(i / 16 % 16 * 17),
                   static_cast<std::uint8_t>(i / 256 * 17)};
    EXPECT_EQ(from_oklab(to_oklab(c)), c);
  }
  EXPECT_NEAR(to_oklab({255, 255, 255}).lightness, 1, 1e-6);
}

TEST(SequentialColours, DarkenEvenly) {
  for (int i = 1; i <= 32; ++i) {
    const Colour a = sequential_colour((i - 1) / 32.0), b = sequential_colour(i / 32.0);
    EXPECT_LT(to_oklab(b).lightness, to_oklab(a).lightness);
    EXPECT_GT(distance(a, b), 0.015);
    EXPECT_LT(distance(a, b), 0.032);
  }
}

TEST(DivergingColours, PartOnBothSidesOfALightCentre) {
  EXPECT_GT(to_oklab(diverging_colour(0)).lightness, 0.96);
  for (double t = 0.1; t <= 1; t += 0.1) {
    // In grey, too, they are not the same.
    EXPECT_GT(to_oklab(diverging_colour(t)).lightness,
              to_oklab(diverging_colour(-t)).lightness + 0.3 * t);
    for (const Matrix& sight : kSights) {  // the sides stay apart without any one cone
      EXPECT_GT(distance(seen(sight, diverging_colour(t)), seen(sight, diverging_colour(-t))),
                0.09 * t + 0.005);
    }
  }
}

TEST(Palette, EveryPairStaysApartWithoutAnyOneCone) {
  for (int i = -1; i < kPaletteSize; ++i) {
    for (int k = i + 1; k < kPaletteSize; ++k) {
      EXPECT_GT(distance(palette_colour(i), palette_colour(k)), 0.115) << i << " " << k;
      for (const Matrix& sight : kSights) {
        EXPECT_GT(distance(seen(sight, palette_colour(i)), seen(sight, palette_colour(k))), 0.115)
            << i << " " << k;
      }
    }
  }
}

TEST(InkOn, IsReadable) {
  for (int i = 0; i < kPaletteSize; ++i) {
    const Colour back = palette_colour(i);
    EXPECT_GT(std::abs(to_oklab(back).lightness - to_oklab(ink_on(back)).lightness), 0.35);
  }
  EXPECT_EQ(hex({1, 171, 255}), "#01abff");
}

}  // namespace
}  // namespace kappascope
