// Paired tests against exact counts of signs, and intervals.
#include "core/stats/paired.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kappascope {
namespace {

TEST(StatsPaired, Sign) {
  const std::vector<double> d = {1, 2, -1, 3, 0, 0.5, kNaN, INFINITY, -INFINITY};
  const SignTest test = sign_test(d);
  EXPECT_EQ(test.positive, 4);
  EXPECT_EQ(test.negative, 1);
  EXPECT_EQ(test.zero, 1);
  EXPECT_NEAR(test.p, 0.375, 1e-12);  // 2·(1 + 5)/32
  EXPECT_TRUE(std::isnan(sign_test(std::vector<double>{0, 0}).p));
  EXPECT_EQ(sign_test(std::vector<double>{1, -1}).p, 1);
}

TEST(StatsPaired, WilcoxonExact) {
  const std::vector<double> d = {1.5, -0.5, 2.25, 3, -1, 4, 0.25, 5};
  const WilcoxonTest test = wilcoxon_test(d);
  EXPECT_TRUE(test.exact);
  EXPECT_EQ(test.pairs, 8);
  EXPECT_EQ(test.statistic, 5);
  EXPECT_NEAR(test.p, 0.078125, 1e-12);
  EXPECT_NEAR(wilcoxon_test(std::vector<double>{1, 2, 3, 4, 5, 6}).p, 0.03125, 1e-12);
}

TEST(StatsPaired, WilcoxonWithTies) {
  const std::vector<double> d = {1, 1, -1, 2, 3, 0, 2, -2, 5};
  const WilcoxonTest test = wilcoxon_test(d);
  EXPECT_FALSE(test.exact);
  EXPECT_EQ(test.pairs, 8);
  EXPECT_EQ(test.statistic, 7);
  // n = 8, ties of 3 and 3: variance 51 − 48/48; z = 11/√50
  EXPECT_NEAR(test.p, std::erfc(11 / std::sqrt(2.0 * 50)), 1e-12);
  EXPECT_EQ(wilcoxon_test(std::vector<double>{}).pairs, 0);
}

TEST(StatsPaired, IntervalsAreTheSameEverywhere) {
  const Resamples resamples(4, 1000, 0), again(4, 1000, 0);
  const std::vector<double> values = {1, 2, 3, 4}, halves = {0.5, 0.5, 0.5, 0.5};
  const Interval one = resamples.interval(values), two = again.interval(values);
  EXPECT_EQ(one.low, two.low);
  EXPECT_EQ(one.high, two.high);
  EXPECT_GE(one.low, 1);
  EXPECT_LE(one.low, 2);
  EXPECT_GE(one.high, 3);
  EXPECT_LE(one.high, 4);
  EXPECT_EQ(resamples.interval(values, halves).high, 2 * one.high);
  EXPECT_TRUE(std::isnan(Resamples(1, 1000, 0).interval(std::vector<double>{1}).low));
}

}  // namespace
}  // namespace kappascope
