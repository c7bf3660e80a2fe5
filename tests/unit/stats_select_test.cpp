// Order statistics, quantiles, ranks and correlation against sorted copies.
#include "core/stats/select.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "core/stats/correlation.h"
#include "core/stats/mean.h"
#include "tests/unit/stats_fixture.h"

namespace kappascope {
namespace {

std::vector<float> statistics_of(const std::vector<float>& values,
                                 const std::vector<std::int64_t>& ranks) {
  return order_statistics(ranks, [&](auto&& visit) {
    for (const float value : values) { visit(value, 1); }
  });
}

TEST(StatsSelect, OrderOfBitsIsOrderOfFloats) {
  const float inf = std::numeric_limits<float>::infinity();
  const float least = std::numeric_limits<float>::denorm_min();
  const std::vector<float> ascending = {-inf, -3e38f, -1, -least, -0.0f,
                                        0.0f, least,  1,  3e38f,  inf};
  for (std::size_t i = 0; i + 1 < ascending.size(); ++i) {
    EXPECT_LT(ordered_bits(ascending[i]), ordered_bits(ascending[i + 1])) << i;
    EXPECT_EQ(from_ordered_bits(ordered_bits(ascending[i])), ascending[i]);
  }
}

TEST(StatsSelect, EveryRankOfRandomValues) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> values;
  for (int i = 0; i < 501; ++i) {
    const float scale = i % 3 == 0 ? 1e-6f : i % 3 == 1 ? 1.0f : 1e20f;
    values.push_back(i % 11 == 0 ? 0.25f : normal(random) * scale);  // with ties
  }
  std::vector<std::int64_t> ranks;
  for (std::int64_t r = 0; r < 501; ++r) { ranks.push_back(500 - r); }
  const std::vector<float> found = statistics_of(values, ranks);
  std::sort(values.begin(), values.end());
  for (std::size_t r = 0; r < ranks.size(); ++r) { EXPECT_EQ(found[r], values[500 - r]); }
}

TEST(StatsSelect, MultiplicityCounts) {
  const auto found = order_statistics({0, 2, 3, 9}, [](auto&& visit) {
    visit(5.0f, 7);
    visit(-1.0f, 3);
  });
  EXPECT_EQ(found, (std::vector<float>{-1, -1, 5, 5}));
}

TEST(StatsSelect, ValuesThatDifferInTheLastBit) {
  std::vector<float> values = {1.0f};
  for (int i = 0; i < 5; ++i) { values.push_back(std::nextafter(values.back(), 2.0f)); }
  EXPECT_EQ(statistics_of(values, {0, 3, 5}),
            (std::vector<float>{values[0], values[3], values[5]}));
}

struct Rows {
  std::vector<std::vector<float>> values;
  std::vector<std::int64_t> weights;

  std::size_t count() const { return values.size(); }
  std::int64_t size(std::size_t row) const { return std::ssize(values[row]); }
  float value(std::size_t row, std::int64_t k) const { return values[row][k]; }
  std::int64_t weight(std::size_t row) const { return weights[row]; }
};

TEST(StatsSelect, EveryRankOfRows) {
  const float inf = std::numeric_limits<float>::infinity();
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  Rows rows{{{}, {-inf, -0.0f, 0.0f, 0.25f, inf}, {0.25f}, {-0.0f, -0.0f}, {}}, {1, 2, 3, 1, 5}};
  for (int i = 0; i < 100; ++i) {
    rows.values.back().push_back(i % 7 == 0 ? 0.25f : normal(random));
  }
  std::sort(rows.values.back().begin(), rows.values.back().end());
  std::vector<float> all;
  for (std::size_t row = 0; row < rows.count(); ++row) {
    for (const float value : rows.values[row]) {
      all.insert(all.end(), static_cast<std::size_t>(rows.weights[row]), value);
    }
  }
  std::sort(all.begin(), all.end(),
            [](float a, float b) { return ordered_bits(a) < ordered_bits(b); });
  std::vector<std::int64_t> ranks;
  for (std::int64_t r = 0; r < std::ssize(all); ++r) { ranks.insert(ranks.end(), {r, r}); }
  const std::vector<float> found = order_statistics_of_rows(ranks, rows);
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    EXPECT_EQ(ordered_bits(found[r]), ordered_bits(all[r / 2])) << r;
  }
}

TEST(StatsQuantile, InterpolatesLinearly) {
  EXPECT_DOUBLE_EQ(sorted_quantile({0, 1, 2, 3}, 0.5), 1.5);
  EXPECT_DOUBLE_EQ(sorted_quantile({0, 10}, 0.05), 0.5);
  EXPECT_DOUBLE_EQ(sorted_quantile({4}, 0.95), 4);
  EXPECT_DOUBLE_EQ(sorted_quantile({1, 2, 4}, 1), 4);
  EXPECT_TRUE(std::isnan(sorted_quantile({}, 0.5)));
}

TEST(StatsMean, LeavesOutWhatIsNotFinite) {
  Mean mean;
  EXPECT_TRUE(std::isnan(mean.value()));
  for (const double x : std::vector<double>{1, kNaN, 4, INFINITY}) { mean.add(x); }
  EXPECT_EQ(mean.count, 2);
  EXPECT_DOUBLE_EQ(mean.value(), 2.5);
}

TEST(StatsCorrelation, TiesShareTheirMeanRank) {
  EXPECT_EQ(average_ranks({3, 1, 3, 3, 2}), (std::vector<double>{4, 1, 4, 4, 2}));
  EXPECT_TRUE(average_ranks({}).empty());
}

TEST(StatsCorrelation, SpearmanByHand) {
  EXPECT_DOUBLE_EQ(spearman({1, 2, 3, 4}, {10, 100, 1000, 10000}), 1);
  EXPECT_DOUBLE_EQ(spearman({1, 2, 3, 4}, {4, 3, 2, 1}), -1);
  // ranks 1,2.5,2.5,4 against 1,3,2,4: Σ = 4.5 / √(4.5·5)
  EXPECT_DOUBLE_EQ(spearman({1, 2, 2, 5}, {0, 7, 6, 9}), 4.5 / std::sqrt(4.5 * 5));
  EXPECT_TRUE(std::isnan(spearman({1, 2}, {1, 2})));
  EXPECT_TRUE(std::isnan(spearman({1, 2, 3}, {1, 1, 1})));
}

TEST(StatsCorrelation, OverallAndWithinExperts) {
  HandTrace hand(1, 6, 2, 1);
  // Within each expert κ falls with the mass; between them it rises.
  const float mass[] = {0.1f, 0.2f, 0.3f, 0.7f, 0.8f, 0.9f};
  const float kappa[] = {1.2f, 1.1f, 1.0f, 2.2f, 2.1f, 2.0f};
  for (std::int64_t t = 0; t < 6; ++t) {
    hand.keep(0, t, 0, t / 3, 1, kappa[t]);
    hand.mass[t] = mass[t];
  }
  const KappaConfidence result = kappa_confidence(TraceLayer(hand.trace, 0));
  EXPECT_EQ(result.token, (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(result.expert_points, (std::vector<std::int64_t>{3, 3}));
  EXPECT_DOUBLE_EQ(result.rho_within, -1);
  // rank differences −2,0,2 twice: 1 − 6·16/(6·35)
  EXPECT_DOUBLE_EQ(result.rho, 1 - 6.0 * 16 / (6 * 35));
}

TEST(StatsCorrelation, ConstantKappaHasNone) {
  HandTrace hand(1, 4, 1, 1);
  for (std::int64_t t = 0; t < 4; ++t) {
    hand.keep(0, t, 0, 0);
    hand.mass[t] = 0.1f * static_cast<float>(t);
  }
  const KappaConfidence result = kappa_confidence(TraceLayer(hand.trace, 0));
  EXPECT_EQ(result.kappa.size(), 4u);
  EXPECT_TRUE(std::isnan(result.rho));
  EXPECT_TRUE(std::isnan(result.rho_within));
}

}  // namespace
}  // namespace kappascope
