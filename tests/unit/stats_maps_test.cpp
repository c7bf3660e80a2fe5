// Matrices and series of the figures by hand.
#include "core/stats/maps.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/stats/bands.h"
#include "core/stats/layer.h"
#include "tests/unit/stats_fixture.h"

namespace kappascope {
namespace {

TEST(StatsMaps, TokensWeighTheirKeptSlots) {
  HandTrace hand(1, 3, 2, 2);
  hand.keep(0, 0, 0, 0, 0.75f, 1.0f);
  hand.keep(0, 0, 1, 1, 0.25f, 3.0f);
  hand.keep(0, 1, 0, 0, 0.5f, 2.0f);
  hand.drop(0, 1, 1, 1);
  const LayerMap map = layer_token_mean(hand.trace, hand.trace.kappa_mean);
  EXPECT_EQ(map.rows, 1);
  EXPECT_EQ(map.columns, 3);
  EXPECT_FLOAT_EQ(map.values[0], 1.5f);
  EXPECT_FLOAT_EQ(map.values[1], 2.0f);
  EXPECT_TRUE(std::isnan(map.values[2]));
  const LayerMap kappa = layer_token_kappa(hand.trace);
  EXPECT_TRUE(kappa.exact);
  EXPECT_FLOAT_EQ(kappa.values[0], std::pow(3.0f, 0.25f));  // of ln κ
  const LayerMap dropped = dropped_slots(hand.trace);
  EXPECT_EQ(dropped.values, (std::vector<float>{0, 1, 0}));
}

TEST(StatsMaps, ExpertsWeighTokensEqually) {
  HandTrace hand(2, 2, 3, 1);
  hand.keep(1, 0, 0, 2, 0.9f, 1.0f);
  hand.keep(1, 1, 0, 2, 0.1f, 4.0f);
  const LayerMap map = layer_expert_mean(hand.trace, hand.trace.kappa_mean);
  EXPECT_FLOAT_EQ(map.values[3 + 2], 2.5f);
  EXPECT_TRUE(std::isnan(map.values[3]));
  EXPECT_TRUE(std::isnan(map.values[2]));
  EXPECT_FLOAT_EQ(layer_expert_kappa(hand.trace).values[5], 2.0f);
}

TEST(StatsMaps, ExpertsCountEverySlotOfEveryToken) {
  HandTrace hand(1, 3, 3, 2);
  for (std::int64_t t = 0; t < 3; ++t) {
    hand.keep(0, t, 0, 0, 0.5f, float(1 + t));
    hand.keep(0, t, 1, 1, 0.5f, float(10 + t));
  }
  const LayerMap map = layer_expert_mean(hand.trace, hand.trace.kappa_mean);
  EXPECT_FLOAT_EQ(map.values[0], 2);
  EXPECT_FLOAT_EQ(map.values[1], 11);
  EXPECT_TRUE(std::isnan(map.values[2]));
}

TEST(StatsMaps, BandsAreOverTokensOrOverWhatRan) {
  HandTrace hand(1, 3, 2, 2);
  hand.entropy = {0.25f, kNaN, 0.75f};
  hand.keep(0, 0, 0, 0);
  hand.keep(0, 2, 1, 1);
  hand.drop(0, 1, 0, 1);
  hand.gate = {2, 100, 100, 100, 100, 4};
  hand.attach();
  const Band entropy = number_band(TraceLayer(hand.trace, 0), "router_entropy");
  EXPECT_DOUBLE_EQ(entropy.mean, 0.5);
  EXPECT_LT(entropy.p05, entropy.p95);
  EXPECT_DOUBLE_EQ(number_band(TraceLayer(hand.trace, 0), "gate_mean_abs").mean, 3);
}

TEST(StatsMaps, KappaWithoutParametersSaysSo) {
  HandTrace hand(1, 1, 1, 1, 2);
  hand.trace.kappa = true;
  hand.keep(0, 0, 0, 0, 1, 1.5f);
  hand.kappa_max[0] = 2;
  const LayerMap map = layer_token_kappa(hand.trace);
  EXPECT_FALSE(map.exact);
  EXPECT_FLOAT_EQ(map.values[0], 1.5f);
}

TEST(StatsMaps, LoadOverItsEvenShare) {
  HandTrace hand(1, 4, 2, 1);
  for (std::int64_t t = 0; t < 4; ++t) { hand.keep(0, t, 0, t == 3 ? 1 : 0, 1); }
  EXPECT_EQ(relative_load(hand.trace).values, (std::vector<float>{1.5f, 0.5f}));
  EXPECT_EQ(relative_gate_mass(hand.trace).values, (std::vector<float>{1.5f, 0.5f}));
  HandTrace nothing(1, 4, 2, 1);
  EXPECT_TRUE(std::isnan(relative_load(nothing.trace).values[0]));
  EXPECT_TRUE(std::isnan(relative_gate_mass(nothing.trace).values[0]));
}

TEST(StatsMaps, NoTokens) {
  HandTrace hand(2, 0, 3, 2);
  EXPECT_TRUE(layer_token_kappa(hand.trace).values.empty());
  EXPECT_TRUE(std::isnan(layer_expert_kappa(hand.trace).values[0]));
  EXPECT_TRUE(dropped_slots(hand.trace).values.empty());
}

TEST(StatsMaps, RelativeDepthRunsThroughThePasses) {
  HandTrace hand(4, 1, 1, 1);
  hand.trace.model_layers = 3;
  hand.layer_index = {1, 2, 1, 2};
  hand.pass_index = {0, 0, 1, 1};
  EXPECT_EQ(relative_depth(hand.trace), (std::vector<double>{0.2, 0.4, 0.8, 1}));
  HandTrace one(1, 1, 1, 1);
  EXPECT_EQ(relative_depth(one.trace), std::vector<double>{0});
}

TEST(StatsMaps, RunningMeanLeavesOutTheFirstToken) {
  const std::vector<float> nll = {kNaN, 1, 2, 6};
  const std::vector<double> mean = running_mean(nll, 3);
  EXPECT_DOUBLE_EQ(mean[0], 1);
  EXPECT_DOUBLE_EQ(mean[1], 1.5);
  EXPECT_DOUBLE_EQ(mean[2], 3);
  EXPECT_DOUBLE_EQ(mean[3], 4);
  EXPECT_TRUE(std::isnan(running_mean(nll, 1)[0]));
  EXPECT_DOUBLE_EQ(running_mean(nll, 2)[3], 4);  // itself and the one before
  EXPECT_DOUBLE_EQ(running_mean(nll, 100)[0], 3);
  EXPECT_TRUE(running_mean({}, 5).empty());
}

}  // namespace
}  // namespace kappascope
