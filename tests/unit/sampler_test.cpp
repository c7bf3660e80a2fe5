// Which token follows: greedy, by temperature, among the likeliest, seeded.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <vector>

#include "core/engine/sampler.h"
#include "core/nan.h"

namespace kappascope {
namespace {

const std::vector<float> kLogits{0, 2, 1, 2, -INFINITY, kNaN, -1};

// How often each token is drawn, as a share.
std::map<std::int32_t, double> shares(const SamplingRule& rule, int draws = 20'000) {
  Sampler sampler(rule);
  std::map<std::int32_t, double> result;
  for (int i = 0; i < draws; ++i) { result[sampler.next(kLogits)] += 1.0 / draws; }
  return result;
}

TEST(SamplerTest, GreedyTakesTheLowestOfTheLikeliest) {
  EXPECT_EQ(Sampler({}).next(kLogits), 1);
  EXPECT_EQ(Sampler({.most = 5, .mass = 0.1}).next(kLogits), 1);
  EXPECT_EQ(Sampler({.temperature = 1}).next(std::vector<float>{kNaN, kNaN}), -1);
  EXPECT_EQ(Sampler({.temperature = 1}).next(std::vector<float>{0, INFINITY, 1}), 1);
}

TEST(SamplerTest, SharesAreThoseOfSoftmax) {
  for (const double temperature : {0.5, 1.0, 3.0}) {
    double whole = 0;
    for (const int id : {0, 1, 2, 3, 6}) { whole += std::exp(kLogits[id] / temperature); }
    const auto found = shares({.temperature = temperature, .seed = 7});
    for (const auto& [id, share] : found) {
      EXPECT_NEAR(share, std::exp(kLogits[id] / temperature) / whole, 0.015) << id;
    }
    EXPECT_FALSE(found.contains(4) || found.contains(5));
  }
}

TEST(SamplerTest, OnlyTheLikeliestAreDrawn) {
  EXPECT_EQ(shares({.temperature = 1, .most = 1}).size(), 1U);
  const auto two = shares({.temperature = 1, .most = 2});
  EXPECT_EQ(two.size(), 2U);
  EXPECT_NEAR(two.at(1), 0.5, 0.015);
  EXPECT_NEAR(two.at(3), 0.5, 0.015);
  // p: 0.369 of 1 and of 3, 0.136 of 2, 0.05 of 0, 0.018 of 6
  EXPECT_EQ(shares({.temperature = 1, .mass = 0.36}).size(), 1U);
  EXPECT_EQ(shares({.temperature = 1, .mass = 0.6}).size(), 2U);
  EXPECT_EQ(shares({.temperature = 1, .mass = 0.8}).size(), 3U);
  // Among the three likeliest 1 and 3 have 0.42 each.
  EXPECT_EQ(shares({.temperature = 1, .most = 3, .mass = 0.8}).size(), 2U);
}

TEST(SamplerTest, TheSameSeedDrawsTheSame) {
  const auto drawn = [](std::uint64_t seed) {
    Sampler sampler({.temperature = 1.3, .mass = 0.95, .seed = seed});
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 24; ++i) { ids.push_back(sampler.next(kLogits)); }
    return ids;
  };
  EXPECT_EQ(drawn(5), drawn(5));
  EXPECT_NE(drawn(5), drawn(6));
}

}  // namespace
}  // namespace kappascope
