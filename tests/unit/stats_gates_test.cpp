// Means of gate statistics and the κ effect by hand.
#include "core/stats/gates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/unit/stats_fixture.h"

namespace kappascope {
namespace {

TEST(StatsGates, MeanOverKeptFiniteEntries) {
  HandTrace hand(2, 2, 2, 2);
  hand.keep(1, 0, 0, 0);
  hand.keep(1, 0, 1, 1);
  hand.keep(1, 1, 0, 0);
  hand.gate[hand.at(1, 0, 0)] = 0.25f;
  hand.gate[hand.at(1, 0, 1)] = 0.75f;
  hand.gate[hand.at(1, 1, 0)] = kNaN;    // spoilt
  hand.gate[hand.at(1, 1, 1)] = 100.0f;  // not kept
  EXPECT_DOUBLE_EQ(slot_mean(TraceLayer(hand.trace, 1), hand.gate), 0.5);
  EXPECT_TRUE(std::isnan(slot_mean(TraceLayer(hand.trace, 0), hand.gate)));
  EXPECT_TRUE(std::isnan(slot_mean(TraceLayer(hand.trace, 1), {})));
}

TEST(StatsGates, SharesSumToOne) {
  HandTrace hand(1, 1, 1, 1);
  hand.keep(0, 0, 0, 0);
  const std::vector<float> linear = {0.5f}, saturated = {0.125f};
  hand.trace.gate_linear_fraction = linear;
  hand.trace.gate_saturated_fraction = saturated;
  const GateShares shares = gate_shares(TraceLayer(hand.trace, 0));
  EXPECT_DOUBLE_EQ(shares.linear, 0.5);
  EXPECT_DOUBLE_EQ(shares.knee, 0.375);
  EXPECT_DOUBLE_EQ(shares.saturated, 0.125);
}

TEST(StatsEffect, ExpertsWeighByTheirCounts) {
  HandTrace hand(1, 1, 4, 1);
  const std::vector<double> mean = {1, -1, 0, kNaN}, abs = {2, 1, 0, kNaN}, rms = {2, 4, 0, kNaN},
                            positive = {1, 0, 0, 1}, count = {3, 1, 0, 5};
  hand.trace.effect_mean = hand.trace.effect_rel_abs = mean;
  hand.trace.effect_abs = hand.trace.effect_rel_mean = abs;
  hand.trace.effect_rms = hand.trace.effect_rel_rms = rms;
  hand.trace.effect_positive = hand.trace.effect_rel_positive = positive;
  hand.trace.effect_count = count;
  const TraceLayer layer(hand.trace, 0);
  const EffectSummary effect = layer_effect(layer, EffectKind::absolute);
  EXPECT_DOUBLE_EQ(effect.mean, 0.5);
  EXPECT_DOUBLE_EQ(effect.mean_abs, 1.75);
  EXPECT_DOUBLE_EQ(effect.rms, std::sqrt((3 * 4 + 16) / 4.0));
  EXPECT_DOUBLE_EQ(effect.positive_share, 0.75);
  EXPECT_EQ(effect.count, 4);
  EXPECT_DOUBLE_EQ(layer_effect(layer, EffectKind::relative).mean, 1.75);
}

TEST(StatsEffect, WithoutCountsAbsent) {
  HandTrace hand(1, 1, 2, 1);
  EXPECT_TRUE(std::isnan(layer_effect(TraceLayer(hand.trace, 0), EffectKind::absolute).mean));
  const std::vector<double> none = {0, 0};
  hand.trace.effect_mean = hand.trace.effect_abs = hand.trace.effect_rms =
      hand.trace.effect_positive = hand.trace.effect_count = none;
  const EffectSummary effect = layer_effect(TraceLayer(hand.trace, 0), EffectKind::absolute);
  EXPECT_TRUE(std::isnan(effect.rms));
  EXPECT_EQ(effect.count, 0);
}

struct RecordedGates {
  HandTrace hand{2, 5, 2, 2, 9};
  std::vector<float> kappa, pre;
  RecordedGates() {
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    const std::size_t entries = 2 * 5 * 2;
    kappa.assign(entries * 9, kNaN);
    pre.assign(entries * 9, kNaN);
    for (std::int64_t m = 0; m < 2; ++m) {
      for (std::int64_t t = 0; t < 5; ++t) {
        hand.keep(m, t, 0, 1);
        hand.drop(m, t, 1, 0);
        for (std::size_t i = 0; i < 9; ++i) {
          kappa[hand.at(m, t, 0) * 9 + i] = 1 + 0.5f * std::tanh(normal(random));
          pre[hand.at(m, t, 0) * 9 + i] = 3 * normal(random);
        }
      }
    }
    pre[0] = 0;     // silu(0) = 0: the denominator is 1e-6
    pre[1] = kNaN;  // spoilt
    hand.trace.kappa_values = kappa;
    hand.trace.gate_pre = pre;
  }
  std::vector<double> effects(bool relative) const {
    std::vector<double> values;
    for (std::size_t j = 0; j < pre.size(); ++j) {
      const double z = pre[j], plain = z / (1 + std::exp(-z));
      double d = z / (1 + std::exp(-kappa[j] * z)) - plain;
      if (relative) { d /= plain >= 0 ? std::max(plain, 1e-6) : std::min(plain, -1e-6); }
      if (std::isfinite(d)) { values.push_back(static_cast<float>(d)); }
    }
    std::sort(values.begin(), values.end());
    return values;
  }
};

TEST(StatsEffect, TailsOverAllLayers) {
  const RecordedGates gates;
  for (const EffectKind kind : {EffectKind::absolute, EffectKind::relative}) {
    const std::vector<double> all = gates.effects(kind == EffectKind::relative);
    ASSERT_EQ(all.size(), 2u * 5 * 9 - 1);
    const std::vector<EffectTail> tails = effect_tails(gates.hand.trace, kind, kEffectTops);
    ASSERT_EQ(tails.size(), 2u);
    for (const EffectTail& tail : tails) {
      const QuantilePlace place(std::ssize(all), tail.quantile);
      const auto lower = static_cast<std::size_t>(place.lower);
      EXPECT_DOUBLE_EQ(tail.threshold, place.between(all[lower], all[lower + 1]));
      double sum = 0, square = 0;
      const auto n = static_cast<double>(all.size() - lower - 1);
      for (std::size_t j = lower + 1; j < all.size(); ++j) {
        sum += all[j];
        square += all[j] * all[j];
      }
      EXPECT_EQ(tail.effect.count, static_cast<std::int64_t>(n));
      EXPECT_NEAR(tail.effect.mean, sum / n, 1e-12);
      EXPECT_NEAR(tail.effect.rms, std::sqrt(square / n), 1e-12);
    }
  }
}

TEST(StatsEffect, NoTailsWithoutGates) {
  HandTrace hand(1, 1, 1, 1);
  EXPECT_TRUE(effect_tails(hand.trace, EffectKind::absolute, kEffectTops).empty());
}

}  // namespace
}  // namespace kappascope
