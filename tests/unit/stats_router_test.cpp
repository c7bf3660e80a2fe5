// Loads, drops, unused experts, experts run and co-activation by hand.
#include "core/stats/router.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/unit/stats_fixture.h"

namespace kappascope {
namespace {

TEST(StatsRouter, LoadsOfAHandMadeLayer) {
  HandTrace hand(1, 4, 3, 2);
  for (std::int64_t t = 0; t < 4; ++t) {
    hand.keep(0, t, 0, 0, 0.75f);
    if (t < 2) { hand.keep(0, t, 1, 1, 0.25f); }
    if (t >= 2) { hand.drop(0, t, 1, 1); }
  }
  const TraceLayer layer(hand.trace, 0);
  const ExpertLoads loads = expert_loads(layer);
  EXPECT_EQ(loads.load, (std::vector<double>{0.5, 0.5, 0}));  // dropped ones count
  EXPECT_EQ(loads.gate_mass, (std::vector<double>{0.75, 0.125, 0}));
  EXPECT_DOUBLE_EQ(loads.entropy, std::log(2) / std::log(3));
  EXPECT_DOUBLE_EQ(loads.cv, std::sqrt((2 * 1.0 / 36 + 1.0 / 9) / 3) * 3);
  EXPECT_EQ(loads.unused, 1);
  EXPECT_DOUBLE_EQ(loads.unused_by_chance, 3 * std::pow(1.0 / 3, 4));
  const DropRates drops = drop_rates(layer);
  EXPECT_EQ(drops.by_slot, (std::vector<double>{0, 0.5}));
  EXPECT_DOUBLE_EQ(drops.all, 0.25);
  EXPECT_EQ(most_loaded_experts(loads, 2), (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(most_loaded_experts(loads, 9), (std::vector<std::int64_t>{0, 1, 2}));
}

TEST(StatsRouter, UnusedByChance) {
  EXPECT_NEAR(unused_by_chance(64, 2, 40), 18, 0.1);
  EXPECT_EQ(unused_by_chance(8, 8, 1), 0);
  EXPECT_EQ(unused_by_chance(8, 2, 0), 8);
}

TEST(StatsRouter, OneExpertHasNoLoadEntropy) {
  HandTrace hand(1, 2, 1, 1);
  hand.keep(0, 0, 0, 0, 1);
  hand.keep(0, 1, 0, 0, 1);
  const ExpertLoads loads = expert_loads(TraceLayer(hand.trace, 0));
  EXPECT_EQ(loads.entropy, 0);
  EXPECT_EQ(loads.cv, 0);
  EXPECT_EQ(loads.unused_by_chance, 0);
}

TEST(StatsRouter, EvenLoadHasEntropyOne) {
  HandTrace hand(1, 4, 4, 1);
  for (std::int64_t t = 0; t < 4; ++t) { hand.keep(0, t, 0, t, 1); }
  const ExpertLoads loads = expert_loads(TraceLayer(hand.trace, 0));
  EXPECT_DOUBLE_EQ(loads.entropy, 1);
  EXPECT_DOUBLE_EQ(loads.cv, 0);
}

TEST(StatsRouter, NothingAssignedIsAbsentNotZero) {
  HandTrace hand(1, 3, 2, 1);
  const TraceLayer layer(hand.trace, 0);
  const ExpertLoads loads = expert_loads(layer);
  EXPECT_TRUE(std::isnan(loads.load[0]));
  EXPECT_TRUE(std::isnan(loads.entropy));
  EXPECT_TRUE(std::isnan(drop_rates(layer).all));
  EXPECT_EQ(experts_run(layer).mean, 0);  // empty soft slots: no expert ran
}

TEST(StatsRouter, TokensWithSpoiltRouterAreLeftOut) {
  HandTrace hand(1, 3, 2, 1);
  hand.keep(0, 0, 0, 0, 1);
  hand.keep(0, 1, 0, 0, 1);
  hand.keep(0, 2, 0, 1, 1);
  hand.entropy[1] = kNaN;
  const ExpertLoads loads = expert_loads(TraceLayer(hand.trace, 0));
  EXPECT_EQ(loads.tokens, 2);
  EXPECT_EQ(loads.load, (std::vector<double>{0.5, 0.5}));
  EXPECT_EQ(loads.gate_mass, (std::vector<double>{0.5, 0.5}));
}

TEST(StatsRouter, EmptySoftSlotsAreNoAssignments) {
  HandTrace hand(1, 2, 4, 3);
  hand.keep(0, 0, 0, 2, 0.9f);
  for (std::int64_t k = 0; k < 3; ++k) { hand.keep(0, 1, k, k, 0.5f); }
  const TraceLayer layer(hand.trace, 0);
  const ExpertLoads loads = expert_loads(layer);
  EXPECT_EQ(loads.assigned, (std::vector<std::int64_t>{1, 1, 2, 0}));
  EXPECT_DOUBLE_EQ(loads.unused_by_chance, 4 * (3.0 / 4) * (1.0 / 4));
  EXPECT_EQ(drop_rates(layer).by_slot, (std::vector<double>{0, 0, 0}));
  const Band run = experts_run(layer);
  EXPECT_DOUBLE_EQ(run.mean, 2);
  EXPECT_DOUBLE_EQ(run.p50, 2);
  EXPECT_FLOAT_EQ(static_cast<float>(run.p05), 1.1f);
}

TEST(StatsRouter, ProbabilityIsASoftmaxOfTheLayersOwnExperts) {
  HandTrace hand(1, 1, 3, 1);
  hand.router_logits = {1000, 1000 + std::log(3.0f), kNaN};  // the third column is padding
  hand.attach();
  hand.trace.router_score.reset();  // not known: no softmax in its place
  EXPECT_TRUE(std::isnan(router_probability(TraceLayer(hand.trace, 0))[0]));
  hand.trace.router_score = RouterScore::softmax;
  const std::vector<float> p = router_probability(TraceLayer(hand.trace, 0));
  ASSERT_EQ(p.size(), 2u);
  EXPECT_NEAR(p[0], 0.25, 1e-4);
  EXPECT_NEAR(p[1], 0.75, 1e-4);
}

TEST(StatsRouter, NumbersBeyondTheExpertsAreNoAssignment) {
  HandTrace hand(1, 1, 2, 1);
  hand.keep(0, 0, 0, 7);
  const TraceLayer layer(hand.trace, 0);
  EXPECT_EQ(layer.expert(0), -1);
  EXPECT_FALSE(layer.kept(0));
}

// Tokens choose the pairs listed.
Coactivation pairs_of(HandTrace& hand, const std::vector<std::pair<int, int>>& pairs,
                      const std::vector<std::int64_t>& shown) {
  for (std::size_t t = 0; t < pairs.size(); ++t) {
    hand.keep(0, static_cast<std::int64_t>(t), 0, pairs[t].first);
    hand.keep(0, static_cast<std::int64_t>(t), 1, pairs[t].second);
  }
  return coactivation(TraceLayer(hand.trace, 0), shown);
}

TEST(StatsCoactivation, EvenPairsAreAtChance) {
  HandTrace hand(1, 6, 4, 2);
  const Coactivation result =
      pairs_of(hand, {{0, 1}, {0, 2}, {3, 0}, {1, 2}, {1, 3}, {2, 3}}, {0, 1, 2, 3});
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t j = 0; j < 4; ++j) {
      if (i == j) {
        EXPECT_EQ(result.count[i * 4 + j], 3);  // tokens of the expert
        EXPECT_TRUE(std::isnan(result.ratio[i * 4 + j]));
      } else {
        EXPECT_EQ(result.count[i * 4 + j], 1);
        EXPECT_NEAR(result.ratio[i * 4 + j], 1, 1e-12);
      }
    }
  }
}

TEST(StatsCoactivation, ExpectationKeepsEveryExpertsPairs) {
  std::mt19937 random(3);
  for (const int hub : {0, 1, 2}) {  // 1: expert 0 in most tokens, 2: in all but one
    HandTrace hand(1, 200, 6, 2);
    std::vector<std::pair<int, int>> pairs;
    for (int t = 0; t < 200; ++t) {
      const bool with_hub = hub == 2 ? t > 0 : hub == 1 ? t % 4 != 0 : t % 9 == 0;
      const int a = with_hub ? 0 : 1 + static_cast<int>(random() % 2);
      pairs.emplace_back(a, 3 + static_cast<int>(random() % 3));
    }
    const Coactivation result = pairs_of(hand, pairs, {0, 1, 2, 3, 4, 5});
    for (std::size_t i = 0; i < 6; ++i) {
      double expected = 0, observed = 0;
      for (std::size_t j = 0; j < 6; ++j) {
        if (i == j) { continue; }
        expected += result.expected[i * 6 + j];
        observed += static_cast<double>(result.count[i * 6 + j]);
        EXPECT_EQ(result.expected[i * 6 + j], result.expected[j * 6 + i]);
      }
      EXPECT_NEAR(expected, observed, 1e-6 * (1 + observed)) << "hub " << hub << " expert " << i;
    }
  }
}

TEST(StatsCoactivation, AnExpertOfEveryTokenIsAtChanceWithAll) {
  HandTrace hand(1, 4, 4, 2);
  const Coactivation result = pairs_of(hand, {{0, 1}, {0, 1}, {0, 2}, {0, 1}}, {0, 1, 2, 3});
  EXPECT_DOUBLE_EQ(result.ratio[1], 1);
  EXPECT_DOUBLE_EQ(result.ratio[2], 1);
  EXPECT_TRUE(std::isnan(result.ratio[3]));  // never chosen: nothing expected
  EXPECT_TRUE(std::isnan(result.ratio[1 * 4 + 2]));
}

TEST(StatsCoactivation, OneSlotHasNoPairs) {
  HandTrace hand(1, 2, 2, 1);
  hand.keep(0, 0, 0, 0);
  hand.keep(0, 1, 0, 1);
  const Coactivation result = coactivation(TraceLayer(hand.trace, 0), {1, 0});
  EXPECT_EQ(result.count, (std::vector<std::int64_t>{1, 0, 0, 1}));
  for (const double ratio : result.ratio) { EXPECT_TRUE(std::isnan(ratio)); }
}

TEST(StatsCoactivation, ShownExpertsKeepTheChanceOfAll) {
  HandTrace all(1, 6, 4, 2), some(1, 6, 4, 2);
  const std::vector<std::pair<int, int>> pairs = {{0, 1}, {0, 1}, {0, 2}, {2, 3}, {1, 3}, {0, 1}};
  const Coactivation whole = pairs_of(all, pairs, {0, 1, 2, 3});
  const Coactivation part = pairs_of(some, pairs, {2, 0});
  EXPECT_EQ(part.expected[1], whole.expected[2 * 4 + 0]);
  EXPECT_EQ(part.count[1], whole.count[2 * 4 + 0]);
}

}  // namespace
}  // namespace kappascope
