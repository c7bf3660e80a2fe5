#include "core/figure/ticks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <utility>

namespace kappascope {
namespace {

std::string labels(const std::vector<Tick>& ticks) {
  std::string text;
  for (const Tick& tick : ticks) { text += (text.empty() ? "" : " ") + tick.label; }
  return text;
}

TEST(LinearTicks, ARangeFinerThanItsNumbersEnds) {
  const std::pair<double, double> ranges[] = {{1, std::nextafter(1, 2)},
                                              {1e17, 1e17 + 64},
                                              {-1e300, -1e300 * (1 - 1e-15)},
                                              {0.1, 0.1 + 1e-16}};
  for (const auto& [low, high] : ranges) {
    for (int most = 1; most <= 11; ++most) {
      EXPECT_LE(linear_ticks(low, high, most).size(), std::size_t(most)) << low;
    }
  }
}

TEST(LinearTicks, RoundNumbersOfEqualDecimals) {
  EXPECT_EQ(labels(linear_ticks(0, 1, 5)), "0 0.5 1.0");
  EXPECT_EQ(labels(linear_ticks(0, 1, 6)), "0 0.2 0.4 0.6 0.8 1.0");
  EXPECT_EQ(labels(linear_ticks(-1, 1, 5)), "−1.0 −0.5 0 0.5 1.0");
  EXPECT_EQ(labels(linear_ticks(0, 412, 5)), "0 100 200 300 400");
  EXPECT_EQ(labels(linear_ticks(0, 2, 7, true)), "0 1 2");
  EXPECT_EQ(labels(linear_ticks(0, 50000, 3)), "0 20,000 40,000");
}

TEST(LinearTicks, VeryLargeAndSmallSharePowers) {
  EXPECT_EQ(labels(linear_ticks(0, 2e9, 5)), "0 0.5×10⁹ 1.0×10⁹ 1.5×10⁹ 2.0×10⁹");
  EXPECT_EQ(labels(linear_ticks(0, 2e-7, 2)), "0 2×10⁻⁷");
}

TEST(LinearTicks, NothingWhereThereIsNoRange) {
  EXPECT_TRUE(linear_ticks(1, 1, 5).empty());
  EXPECT_TRUE(linear_ticks(-1e308, 1e308, 5).size() <= 5);
  EXPECT_TRUE(linear_ticks(std::nan(""), 1, 5).empty());
  EXPECT_TRUE(linear_ticks(0, INFINITY, 5).empty());
}

TEST(LinearTicks, NeverTooManyAlwaysInside) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> exponent(-12, 12), place(-1, 1);
  for (int i = 0; i < 2000; ++i) {
    const double low = place(random) * std::pow(10, exponent(random));
    const double high = low + std::pow(10, exponent(random));
    if (!(low < high) || (high - low) < 1e-9 * std::abs(low)) { continue; }
    const int most = 2 + i % 9;
    const auto ticks = linear_ticks(low, high, most);
    EXPECT_LE(ticks.size(), static_cast<std::size_t>(most)) << low << " " << high;
    for (const Tick& tick : ticks) {
      EXPECT_GE(tick.value, low - 1e-6 * (high - low));
      EXPECT_LE(tick.value, high + 1e-6 * (high - low));
    }
  }
}

TEST(LogTicks, DecadesAndTheirParts) {
  EXPECT_EQ(labels(log_ticks(0.3, 3.5, 7)), "0.3 0.5 1 2 3");
  EXPECT_EQ(labels(log_ticks(0.5, 2, 4)), "0.5 1 2");
  EXPECT_EQ(labels(log_ticks(1e-6, 1e6, 5)), "10⁻⁶ 10⁻³ 1 10³ 10⁶");
  EXPECT_EQ(labels(log_ticks(1.1, 1.4, 5)), "1.1 1.2 1.3 1.4");
  EXPECT_TRUE(log_ticks(0, 1, 5).empty());
}

TEST(LogTicks, ThePartsBetweenThemAreNoneOfThem) {
  for (const auto& [low, high] : {std::pair{0.3, 3.5}, {0.5, 200.0}, {1e-6, 1e6}, {1.1, 1.4}}) {
    const auto ticks = log_ticks(low, high, 7);
    const auto minor = minor_log_ticks(low, high, ticks, 40);
    EXPECT_FALSE(minor.empty()) << low;
    for (const double value : minor) {
      EXPECT_GE(value, low * (1 - 1e-9));
      EXPECT_LE(value, high * (1 + 1e-9));
      for (const Tick& tick : ticks) { EXPECT_GT(std::abs(tick.value / value - 1), 1e-6) << value; }
    }
  }
}

TEST(LogTicks, WhereThereIsNoRoomForAllPartsTheyAreOneTwoFive) {
  const auto ticks = log_ticks(1, 1000, 4);
  EXPECT_EQ(minor_log_ticks(1, 1000, ticks, 10), (std::vector<double>{2, 5, 20, 50, 200, 500}));
}

TEST(RoundStep, OneTwoFive) {
  EXPECT_EQ(round_step(10, 10), 1);
  EXPECT_EQ(round_step(11, 10), 2);
  EXPECT_EQ(round_step(400, 10), 50);
  EXPECT_EQ(round_step(0, 0), 1);
}

}  // namespace
}  // namespace kappascope
