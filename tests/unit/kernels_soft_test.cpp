// Soft routing (SPEC §3, SPEC-layouts §3a): the root against a bisection, and what runs.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/soft_math.h"
#include "tests/unit/kernels_fixture.h"

namespace kappascope {
namespace {

struct Routed {
  std::vector<std::int32_t> expert;
  std::vector<float> weight, score, p, top1, mass, margin, gap, entropy;
  std::vector<std::uint8_t> kept;
};

Routed route_softly(const std::vector<float>& logits, std::int64_t experts, const SoftRule& rule) {
  const std::size_t cells = logits.size(), tokens = cells / std::size_t(experts);
  Routed out{std::vector<std::int32_t>(cells), std::vector<float>(cells),
             std::vector<float>(cells),        std::vector<float>(cells),
             std::vector<float>(tokens),       std::vector<float>(tokens),
             std::vector<float>(tokens),       std::vector<float>(tokens),
             std::vector<float>(tokens),       std::vector<std::uint8_t>(cells)};
  SoftRouteArgs args;
  RoutingView& view = args.route.routing;
  view.tokens = std::int64_t(tokens);
  view.experts = view.slots = experts;
  view.logits = logits.data();
  view.soft_weight = out.p.data();
  view.cells = {nullptr, out.expert.data(), out.weight.data(), out.kept.data(), out.score.data()};
  view.numbers = {out.top1.data(), out.mass.data(), out.margin.data(), out.gap.data(),
                  out.entropy.data()};
  args.route.score = RouteScore::router_probs;
  args.route.score_factor = 2;
  args.rule = rule;
  soft_route_ref(args);
  return out;
}

// x*/T by bisection, relative to the highest logit.
double bisected(const std::vector<float>& logits, const SoftRule& rule) {
  const double top = *std::max_element(logits.begin(), logits.end());
  const double bottom = *std::min_element(logits.begin(), logits.end());
  double low = (bottom - top) / rule.temperature - 60, high = 60;
  for (int i = 0; i < 300; ++i) {
    const double middle = low + (high - low) / 2;
    double sum = 0;
    for (const float logit : logits) { sum += laplace((logit - top) / rule.temperature - middle); }
    (sum > rule.budget ? low : high) = middle;
  }
  return low;
}

TEST(SoftRoute, WeightsAddUpToTheBudget) {
  for (const std::int64_t experts : {2, 3, 8, 64, 512}) {
    for (const double share : {1e-6, 0.01, 1.0 / 3, 0.5, 0.99, 1 - 1e-6}) {
      for (const float spread : {0.0f, 0.3f, 4.0f, 1e4f, 1e30f}) {
        SoftRule rule;
        rule.budget = share * double(experts);
        rule.temperature = experts == 8 ? 1.5 : 1;
        const std::vector<float> logits = normal(std::size_t(experts), 5, spread);
        const Routed routed = route_softly(logits, experts, rule);
        const double sum = std::accumulate(routed.p.begin(), routed.p.end(), 0.0);
        EXPECT_NEAR(sum, rule.budget, 1e-6 * std::max(1.0, rule.budget))
            << experts << " experts, k " << rule.budget << ", spread " << spread;
        for (std::int64_t i = 1; i < experts; ++i) {
          EXPECT_GE(routed.p[routed.expert[i - 1]], routed.p[routed.expert[i]]);
        }
      }
    }
  }
}

TEST(SoftRoute, BudgetsThatAreWholeNumbersMeetAGapOfAnyWidth) {
  for (const float gap : {0.0f, 1.0f, 80.0f, 2000.0f, 1e30f}) {
    for (const double budget : {1.0, 2.0, 3.0}) {
      SoftRule rule;
      rule.budget = budget;
      const Routed routed = route_softly({gap, 0, 0, gap, -gap}, 5, rule);
      EXPECT_NEAR(std::accumulate(routed.p.begin(), routed.p.end(), 0.0), budget, 1e-6) << gap;
    }
  }
}

TEST(SoftRoute, RootIsThatOfABisection) {
  for (const std::int64_t experts : {2, 7, 33, 130}) {
    SoftRule rule;
    rule.temperature = 1.5;
    for (const double budget : {0.2, 1.0, 1.7}) {
      rule.budget = budget;
      const std::vector<float> logits = normal(std::size_t(experts), 9, 3);
      const double top = *std::max_element(logits.begin(), logits.end());
      const double x = bisected(logits, rule);
      const Routed routed = route_softly(logits, experts, rule);
      for (std::int64_t e = 0; e < experts; ++e) {
        const double p = laplace((double(logits[e]) - top) / rule.temperature - x);
        EXPECT_NEAR(routed.p[e], p, 1e-7 + 1e-6 * p);
      }
    }
  }
}

// The weights of four experts, 0.7, 0.5, 0.3, 0.1 but for rounding, for any rule.
const std::vector<double> kWeights{0.7, 0.5, 0.3, 0.1};

TEST(SoftRoute, AbsoluteThresholdAndCap) {
  SoftRule rule;
  rule.threshold = 0.25;
  SoftChoice choice = soft_choice(Alone{}, kWeights.data(), 4, rule);
  EXPECT_EQ(choice.run, 3);
  EXPECT_NEAR(choice.margin, 0.05, 1e-12);
  EXPECT_FALSE(choice.capped);
  rule.most = 2;
  choice = soft_choice(Alone{}, kWeights.data(), 4, rule);
  EXPECT_EQ(choice.run, 2);
  EXPECT_TRUE(choice.capped);
  EXPECT_NEAR(choice.margin, 0.05, 1e-12);  // p of the third is nearer than the gap of the cap
  rule.threshold = 0.1;
  EXPECT_NEAR(soft_choice(Alone{}, kWeights.data(), 4, rule).margin, 0, 1e-12);  // not above it
  EXPECT_EQ(soft_choice(Alone{}, kWeights.data(), 3, rule).run, 2);
  rule.threshold = 0.9;
  EXPECT_EQ(soft_choice(Alone{}, kWeights.data(), 4, rule).run, 0);
  const double ties[] = {0.7, 0.5, 0.5, 0.1};
  rule.threshold = 0.2;
  EXPECT_EQ(soft_choice(Alone{}, ties, 4, rule).run, 3);  // both at the place of the cap
}

TEST(SoftRoute, RelativeThresholdIsClampedToTheCapAndTheBest) {
  SoftRule rule;
  rule.budget = 1.6;
  rule.relative = 1;  // 1·1.6/4 = 0.4
  SoftChoice choice = soft_choice(Alone{}, kWeights.data(), 4, rule);
  EXPECT_EQ(choice.run, 2);
  EXPECT_NEAR(choice.margin, 0.1, 1e-12);
  rule.most = 1;
  choice = soft_choice(Alone{}, kWeights.data(), 4, rule);
  EXPECT_EQ(choice.run, 1);
  EXPECT_TRUE(choice.capped);
  EXPECT_NEAR(choice.margin, 0.2, 1e-12);  // 0.7 is the threshold itself
  rule = {.budget = 1.6, .relative = 5};
  choice = soft_choice(Alone{}, kWeights.data(), 4, rule);
  EXPECT_EQ(choice.run, 1);  // the best one always runs
  EXPECT_FALSE(choice.capped);
  rule.relative = 0;
  EXPECT_EQ(soft_choice(Alone{}, kWeights.data(), 4, rule).run, 4);
  const double equal[] = {0.4, 0.4};
  EXPECT_TRUE(std::isnan(soft_choice(Alone{}, equal, 2, {.budget = 0.8, .relative = 9}).margin));
}

TEST(SoftRoute, WhatDoesNotRunHasNoWeightAndNoScore) {
  SoftRule rule;
  rule.budget = 1.5;
  rule.threshold = 0.2;
  const Routed routed = route_softly({2, -3, 1, 2}, 4, rule);
  EXPECT_EQ(routed.expert, (std::vector<std::int32_t>{0, 3, 2, 1}));
  EXPECT_EQ(routed.kept, (std::vector<std::uint8_t>{1, 1, 1, 0}));
  EXPECT_EQ(routed.weight[3], 0);
  EXPECT_TRUE(std::isnan(routed.score[3]));
  EXPECT_GT(routed.p[1], 0);
  EXPECT_EQ(routed.score[0], 2 * routed.weight[0]);
  EXPECT_EQ(routed.weight[0], routed.p[0]);
}

TEST(SoftRoute, ALogitThatIsNotFiniteSpoilsItsTokenAlone) {
  SoftRule rule;
  rule.budget = 1;
  rule.threshold = 0.3;
  const Routed routed = route_softly({1, kNaN, 0, kInfinity, 1, 0, 1, 0, -1}, 3, rule);
  for (int e = 0; e < 6; ++e) {
    EXPECT_TRUE(std::isnan(routed.p[e]));
    EXPECT_EQ(routed.kept[e], 1);
  }
  EXPECT_EQ(routed.expert[6], 0);
  EXPECT_FALSE(std::isnan(routed.p[6]));
}

}  // namespace
}  // namespace kappascope
