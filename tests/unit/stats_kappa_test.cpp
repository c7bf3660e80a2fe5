// κ statistics against a population written out in full, and by hand.
#include "core/stats/kappa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "core/stats/kappa_curves.h"
#include "core/stats/kappa_histogram.h"
#include "tests/unit/stats_fixture.h"

namespace kappascope {
namespace {

// Tokens × 2 slots over 3 experts of 33 gates; expert 0 gets all tokens, 1 the first five, the
// second slots of the others are dropped; 2 gets nothing.
struct RandomLayer {
  static constexpr std::int64_t kExperts = 3, kGates = 33;
  HandTrace hand;
  std::vector<float> scale, bias;
  std::vector<std::vector<double>> of_expert{3};

  explicit RandomLayer(float bound, bool with_scale = true, std::int64_t tokens = 7)
      : hand{1, tokens, kExperts, 2, kGates} {
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < kExperts * kGates; ++i) {
      if (with_scale) { scale.push_back(normal(random)); }
      bias.push_back(0.3f * normal(random));
    }
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t k = 0; k < 2; ++k) {
        const std::int64_t e = k == 0 ? 0 : 1;
        if (k == 1 && t > 4) {
          hand.drop(0, t, k, e);
          continue;
        }
        const float s = normal(random);
        double sum = 0;
        for (std::int64_t i = 0; i < kGates; ++i) {
          const auto at = static_cast<std::size_t>(e * kGates + i);
          const float u = with_scale ? scale[at] * s + bias[at] : s * bias[at];
          const double kappa = std::exp(std::log(static_cast<double>(bound)) * std::tanh(u));
          of_expert[e].push_back(kappa);
          sum += kappa;
        }
        hand.keep(0, t, k, e, 0.5f, static_cast<float>(sum / kGates), s);
        hand.kappa_min[hand.at(0, t, k)] = 0.1f;  // the gates differ
      }
    }
  }
  std::vector<double> all() const {
    std::vector<double> values;
    for (const auto& part : of_expert) { values.insert(values.end(), part.begin(), part.end()); }
    std::sort(values.begin(), values.end());
    return values;
  }
};

double quantile(const std::vector<double>& ascending, double q) {
  const QuantilePlace place(std::ssize(ascending), q);
  return place.between(ascending[place.lower], ascending[place.upper]);
}

void expect_population(const RandomLayer& random, const KappaSummary& summary) {
  const std::vector<double> all = random.all();
  double sum = 0, log_sum = 0;
  for (const double kappa : all) {
    sum += kappa;
    log_sum += std::log(kappa);
  }
  const auto n = static_cast<double>(all.size());
  EXPECT_NEAR(summary.band.mean, sum / n, 1e-6);
  EXPECT_NEAR(summary.log_mean, log_sum / n, 1e-6);
  EXPECT_NEAR(summary.band.p05, quantile(all, 0.05), 1e-6);
  EXPECT_NEAR(summary.band.p50, quantile(all, 0.50), 1e-6);
  EXPECT_NEAR(summary.band.p95, quantile(all, 0.95), 1e-6);
  double top = 0, bottom = 0, roots = 0, root_sum = 0;
  for (std::size_t e = 0; e < 2; ++e) {
    std::vector<double> own = random.of_expert[e];
    std::sort(own.begin(), own.end());
    const std::size_t part = (own.size() + 19) / 20;  // of 7 tokens 12 of 231, 9 of 165
    double low = 0, high = 0, whole = 0;
    for (std::size_t j = 0; j < part; ++j) {
      low += own[j] / static_cast<double>(part);
      high += own[own.size() - 1 - j] / static_cast<double>(part);
    }
    for (const double kappa : own) { whole += kappa / static_cast<double>(own.size()); }
    top += high / 2;
    bottom += low / 2;
    const double root = std::sqrt(static_cast<double>(own.size() / RandomLayer::kGates));
    roots += root;
    root_sum += root * whole;
  }
  EXPECT_NEAR(summary.top5_mean, top, 1e-6);
  EXPECT_NEAR(summary.bottom5_mean, bottom, 1e-6);
  EXPECT_NEAR(summary.sqrt_n_mean, root_sum / roots, 1e-6);
}

TEST(StatsKappa, PopulationOfAllGates) {
  for (const float bound : {3.0f, 0.5f}) {  // κ rises or falls with α·s + b
    RandomLayer random(bound);
    const HandKappa kappa(3, 33, bound, random.scale, random.bias);
    expect_population(random, kappa_summary(TraceLayer(random.hand.trace, 0), kappa.kappa));
  }
}

// Their quantiles are selected among sorted rows instead of counted.
TEST(StatsKappa, PopulationOfManyTokens) {
  for (const float bound : {3.0f, 0.5f}) {
    for (const bool with_scale : {true, false}) {
      RandomLayer random(bound, with_scale, 600);
      const HandKappa kappa(3, 33, bound, random.scale, random.bias);
      expect_population(random, kappa_summary(TraceLayer(random.hand.trace, 0), kappa.kappa));
      std::sort(random.of_expert[0].begin(), random.of_expert[0].end());
      const KappaBand first = kappa_band(TraceLayer(random.hand.trace, 0), kappa.kappa, 0);
      EXPECT_NEAR(first.band.p05, quantile(random.of_expert[0], 0.05), 1e-6);
      EXPECT_NEAR(first.band.p95, quantile(random.of_expert[0], 0.95), 1e-6);
    }
  }
}

// Its mean of ln κ is added up from bins of scores; most scores here are at the edge of one, where
// what the series leaves out is largest. All u are exact in float.
TEST(StatsKappa, MeanOfLogOfManyTokens) {
  constexpr std::int64_t kTokens = 2000, kGates = 33;
  std::vector<float> scale, bias;
  for (std::int64_t i = 0; i < kGates; ++i) {
    scale.push_back(float(i - 16) / 8);
    bias.push_back(float(i % 7 - 3) / 16);
  }
  for (const float bound : {3.0f, 0.5f}) {
    HandTrace hand{1, kTokens, 1, 1, kGates};
    double sum = 0;
    for (std::int64_t t = 0; t < kTokens; ++t) {
      const float s = t % 4 == 0 ? float(t % 256) / 64 : 0;
      hand.keep(0, t, 0, 0, 1, 1, s);
      hand.kappa_min[hand.at(0, t, 0)] = 0.1f;
      for (std::int64_t i = 0; i < kGates; ++i) {
        sum += double(std::log(bound)) * std::tanh(double(scale[i]) * s + bias[i]);
      }
    }
    const HandKappa kappa(1, kGates, bound, scale, bias);
    EXPECT_NEAR(kappa_band(TraceLayer(hand.trace, 0), kappa.kappa, 0).log_mean,
                sum / double(kTokens * kGates), 1e-11);
  }
}

TEST(StatsKappa, ConstantInputHasNoScale) {
  RandomLayer random(3.0f, false);
  const HandKappa kappa(3, 33, 3.0f, {}, random.bias);
  expect_population(random, kappa_summary(TraceLayer(random.hand.trace, 0), kappa.kappa));
}

TEST(StatsKappa, OneNumberForAllGatesCountsForEach) {
  HandTrace hand(1, 2, 2, 1, 40);
  hand.keep(0, 0, 0, 0, 1, std::exp(std::log(3.0f) * std::tanh(1.5f)), 1);
  hand.keep(0, 1, 0, 1, 1, std::exp(std::log(3.0f) * std::tanh(-0.5f)), 2);
  HandKappa kappa(2, 1, 3.0f, {1, -0.5f}, {0.5f, 0.5f});
  kappa.kappa.gates = 40;
  for (KappaView& view : kappa.kappa.experts) { view.gate_stride = view.scale_gate_stride = 0; }
  const KappaSummary summary = kappa_summary(TraceLayer(hand.trace, 0), kappa.kappa);
  const double high = std::pow(3.0, std::tanh(1.5)), low = std::pow(3.0, std::tanh(-0.5));
  EXPECT_NEAR(summary.band.p05, low, 1e-6);  // 40 and 40 values: only ranks 39 and 40 differ
  EXPECT_NEAR(summary.band.p50, (low + high) / 2, 1e-6);
  EXPECT_NEAR(summary.band.p95, high, 1e-6);
  EXPECT_NEAR(summary.top5_mean, (low + high) / 2, 1e-6);
  EXPECT_NEAR(summary.log_mean, std::log(3.0) * (std::tanh(1.5) + std::tanh(-0.5)) / 2, 1e-6);
}

TEST(StatsKappa, FivePercentAreRoundedUp) {
  HandTrace hand(1, 1, 1, 1, 21);
  hand.keep(0, 0, 0, 0, 1, 1, 1);
  std::vector<float> bias(21, 0);
  bias[4] = bias[9] = -10;  // two of 21 at 1/U, two at U
  bias[5] = bias[20] = 10;
  const HandKappa kappa(1, 21, 3.0f, std::vector<float>(21, 0), bias);
  const KappaSummary summary = kappa_summary(TraceLayer(hand.trace, 0), kappa.kappa);
  EXPECT_NEAR(summary.top5_mean, 3, 1e-6);
  EXPECT_NEAR(summary.bottom5_mean, 1 / 3.0, 1e-6);
  bias[20] = 0;  // one of them: the mean of two shows it
  const HandKappa fewer(1, 21, 3.0f, std::vector<float>(21, 0), bias);
  EXPECT_NEAR(kappa_summary(TraceLayer(hand.trace, 0), fewer.kappa).top5_mean, 2, 1e-6);
}

TEST(StatsKappa, OffOrFixedIsWhatTheTraceSays) {
  for (const float fixed : {1.0f, 1.702f}) {
    HandTrace hand(1, 3, 2, 2, 8);
    for (std::int64_t t = 0; t < 3; ++t) { hand.keep(0, t, 0, t % 2, 0.5f, fixed, kNaN); }
    const TraceLayer layer(hand.trace, 0);
    const KappaFunction kappa = kappa_function(layer);
    EXPECT_EQ(kappa.source, KappaFunction::Source::constant);
    const KappaSummary summary = kappa_summary(layer, kappa);
    for (const double value : {summary.band.mean, summary.band.p05, summary.band.p50,
                               summary.band.p95, summary.top5_mean, summary.bottom5_mean}) {
      EXPECT_DOUBLE_EQ(value, static_cast<double>(fixed));
    }
    EXPECT_DOUBLE_EQ(summary.sqrt_n_mean, static_cast<double>(fixed));
    EXPECT_DOUBLE_EQ(summary.log_mean, std::log(static_cast<double>(fixed)));
  }
}

TEST(StatsKappa, NothingKeptIsAbsent) {
  HandTrace hand(1, 3, 2, 1, 4);
  for (std::int64_t t = 0; t < 3; ++t) { hand.drop(0, t, 0, 1); }
  const TraceLayer layer(hand.trace, 0);
  const KappaSummary summary = kappa_summary(layer, kappa_function(layer));
  for (const double value : {summary.band.mean, summary.band.p50, summary.log_mean,
                             summary.top5_mean, summary.bottom5_mean, summary.sqrt_n_mean}) {
    EXPECT_TRUE(std::isnan(value));
  }
}

TEST(StatsKappa, SpoiltEntriesAreLeftOut) {
  RandomLayer random(3.0f);
  const HandKappa kappa(3, 33, 3.0f, random.scale, random.bias);
  HandTrace& hand = random.hand;
  hand.kappa_mean[hand.at(0, 6, 0)] = kNaN;  // the last entry of expert 0
  random.of_expert[0].resize(6 * 33);
  expect_population(random, kappa_summary(TraceLayer(hand.trace, 0), kappa.kappa));
}

TEST(StatsKappa, WithoutParametersOnlyRecordedMeansAreKnown) {
  RandomLayer random(3.0f);
  random.hand.trace.kappa = true;
  const TraceLayer layer(random.hand.trace, 0);
  const KappaFunction unknown = kappa_function(layer);
  EXPECT_EQ(unknown.source, KappaFunction::Source::unknown);
  const KappaSummary summary = kappa_summary(layer, unknown);
  const HandKappa kappa(3, 33, 3.0f, random.scale, random.bias);
  const KappaSummary known = kappa_summary(layer, kappa.kappa);
  EXPECT_DOUBLE_EQ(summary.band.mean, known.band.mean);
  EXPECT_DOUBLE_EQ(summary.sqrt_n_mean, known.sqrt_n_mean);
  for (const double value :
       {summary.band.p05, summary.band.p50, summary.log_mean, summary.top5_mean}) {
    EXPECT_TRUE(std::isnan(value));
  }
  EXPECT_FALSE(slot_log_kappa(layer, unknown).exact);
}

TEST(StatsKappa, OneExpertAlone) {
  RandomLayer random(3.0f);
  const HandKappa kappa(3, 33, 3.0f, random.scale, random.bias);
  const TraceLayer layer(random.hand.trace, 0);
  std::vector<double> own = random.of_expert[1];
  std::sort(own.begin(), own.end());
  const KappaBand band = kappa_band(layer, kappa.kappa, 1);
  EXPECT_NEAR(band.band.p05, quantile(own, 0.05), 1e-6);
  EXPECT_NEAR(band.band.p95, quantile(own, 0.95), 1e-6);
  double sum = 0;
  for (const double value : own) { sum += std::log(value); }
  EXPECT_NEAR(band.log_mean, sum / static_cast<double>(own.size()), 1e-6);
  EXPECT_TRUE(std::isnan(kappa_band(layer, kappa.kappa, 2).band.p50));
  EXPECT_TRUE(std::isnan(kappa_band(layer, kappa.kappa, 2).log_mean));
}

TEST(StatsKappa, MeanOfLogOfOneEntry) {
  HandTrace hand(1, 1, 1, 1, 2);
  hand.keep(0, 0, 0, 0, 1, 1.5f, 2);
  const HandKappa kappa(1, 2, 3.0f, {0.5f, -1}, {0, 1});
  const SlotLogKappa logs = slot_log_kappa(TraceLayer(hand.trace, 0), kappa.kappa);
  EXPECT_TRUE(logs.exact);
  EXPECT_NEAR(logs.value[0], std::log(3.0) * (std::tanh(1.0) + std::tanh(-1.0)) / 2, 1e-7);
}

TEST(StatsKappaHistogram, DensityAndBandFromCounts) {
  HandTrace hand(1, 1, 2, 1);
  hand.trace.kappa = true;
  hand.trace.meta = {{"kappa", {{"bound_moe", 3.0}, {"start_layer", 0}}}};
  hand.kappa_hist[32] = 3;               // expert 0, ln κ / ln U in [0, 1/32]
  hand.kappa_hist[kKappaBins + 63] = 1;  // expert 1, the highest bin
  hand.attach();
  const TraceLayer layer(hand.trace, 0);
  const KappaDensity density = kappa_density(layer, kappa_function(layer));
  const double width = std::log(3.0) / 32;
  ASSERT_EQ(density.edges.size(), 65u);
  EXPECT_NEAR(density.edges[0], 1 / 3.0, 1e-12);
  EXPECT_NEAR(density.edges[32], 1, 1e-12);
  EXPECT_NEAR(density.edges[64], 3, 1e-12);
  EXPECT_NEAR(density.density[32], 0.75 / width, 1e-9);
  const KappaBand band = histogram_band(density);
  EXPECT_FALSE(band.exact);
  EXPECT_NEAR(band.log_mean, (3 * width / 2 + std::log(3.0) - width / 2) / 4, 1e-12);
  EXPECT_NEAR(std::log(band.band.p50), width * 2 / 3, 1e-12);
  EXPECT_NEAR(std::log(band.band.p95), std::log(3.0) - width * 0.2, 1e-12);
}

// The rank is the last of bin 10: the quantile is its upper edge, not the lower one of bin 20.
TEST(StatsKappaHistogram, AQuantileBetweenTwoBinsIsTheEdgeOfTheLower) {
  HandTrace hand(1, 1, 1, 1);
  hand.trace.kappa = true;
  hand.trace.meta = {{"kappa", {{"bound_moe", 3.0}, {"start_layer", 0}}}};
  hand.kappa_hist[10] = hand.kappa_hist[20] = 2;
  hand.attach();
  const TraceLayer layer(hand.trace, 0);
  const KappaDensity density = kappa_density(layer, kappa_function(layer));
  EXPECT_NEAR(histogram_band(density).band.p50, density.edges[11], 1e-12);
}

TEST(StatsKappaHistogram, OffHasNoBound) {
  HandTrace hand(1, 1, 2, 1);
  hand.trace.kappa = true;
  hand.trace.meta = {{"kappa", {{"bound_moe", 3.0}, {"start_layer", 1}}}};
  EXPECT_TRUE(std::isnan(kappa_bound(TraceLayer(hand.trace, 0))));  // below the first layer with κ
  hand.trace.kappa = false;
  const TraceLayer layer(hand.trace, 0);
  const KappaDensity density = kappa_density(layer, kappa_function(layer));
  EXPECT_TRUE(std::isnan(density.bound));
  EXPECT_TRUE(density.edges.empty());
  EXPECT_TRUE(std::isnan(histogram_band(density).log_mean));
}

TEST(StatsKappaCurves, GatesSpreadOverTheirScale) {
  const HandKappa kappa(1, 5, 3.0f, {3, -1, 2, 0, 2}, {0, 0, 0, 0, 0});
  const KappaView& view = kappa.kappa.experts[0];
  EXPECT_EQ(spread_gates(view, 5, 3), (std::vector<std::int64_t>{1, 2, 0}));
  EXPECT_EQ(spread_gates(view, 5, 16), (std::vector<std::int64_t>{1, 3, 2, 4, 0}));
  EXPECT_EQ(spread_gates(KappaView{}, 5, 3), std::vector<std::int64_t>{});
}

TEST(StatsKappaCurves, CurveByHand) {
  const HandKappa kappa(1, 2, 3.0f, {1, 2}, {0, -2});
  const KappaCurves curves = kappa_curves(kappa.kappa, 0, {1}, 0, 2, 3);
  EXPECT_EQ(curves.score, (std::vector<double>{0, 1, 2}));
  EXPECT_NEAR(curves.kappa[0][0], std::pow(3.0, std::tanh(-2.0)), 1e-6);
  EXPECT_NEAR(curves.kappa[0][1], 1, 1e-12);
  EXPECT_NEAR(curves.kappa[0][2], std::pow(3.0, std::tanh(2.0)), 1e-6);
}

TEST(StatsKappaCurves, SiluAtFixedKappa) {
  HandTrace hand(1, 1, 1, 1, 4);
  hand.keep(0, 0, 0, 0, 1, 2);
  hand.gate_pre_hist[5] = 9;
  hand.attach();
  const TraceLayer layer(hand.trace, 0);
  const SiluCurves curves = silu_curves(layer, kappa_function(layer), 0, 17);
  EXPECT_EQ(curves.kappa[1], 2);
  EXPECT_EQ(curves.z[9], 1);
  EXPECT_DOUBLE_EQ(curves.value[0][9], 1 / (1 + std::exp(-2.0)));
  EXPECT_EQ(curves.counts[5], 9);
}

TEST(StatsKappaCurves, ParametersAndTheBoundsTheyImply) {
  HandTrace hand(1, 3, 1, 1, 3);
  for (std::int64_t t = 0; t < 3; ++t) { hand.keep(0, t, 0, 0, 1, 1, static_cast<float>(t)); }
  hand.trace.kappa = true;
  hand.trace.meta["kappa"] = {{"bound_moe", 3}, {"start_layer", -1}};
  const HandKappa kappa(1, 3, 3.0f, {1, 2, 3}, {0, 0, -3});
  const ParameterSpread found = kappa_parameters(TraceLayer(hand.trace, 0), kappa.kappa);
  EXPECT_EQ(found.median_score, 1);
  EXPECT_EQ(found.scale.p50, 2);
  EXPECT_EQ(found.scale.least, 1);
  EXPECT_EQ(found.bias.most, 0);
  EXPECT_DOUBLE_EQ(found.bias.mean, -1);
  EXPECT_NEAR(found.kappa.most, std::pow(3.0, std::tanh(2.0)), 1e-6);
  EXPECT_NEAR(found.kappa.least, 1, 1e-6);
  EXPECT_NEAR(found.bounds.upper, 3, 1e-6);
  EXPECT_NEAR(found.bounds.lower, 1 / 3.0, 1e-6);
}

TEST(StatsKappaCurves, QuantilesOfASharedParameterAreOverGateUnits) {
  HandTrace hand(1, 1, 1, 2, 20);
  hand.trace.kappa = true;
  hand.trace.meta["kappa"] = {{"bound_moe", 3}, {"start_layer", -1}};
  const std::vector<float> bias = {0.5f, 1};
  KappaFunction kappa;
  kappa.source = KappaFunction::Source::parameters;
  kappa.gates = 20;
  kappa.experts.assign(2, {});
  for (std::size_t e = 0; e < 2; ++e) { kappa.experts[e].bias = &bias[e]; }
  const Spread found = kappa_parameters(TraceLayer(hand.trace, 0), kappa).bias;
  EXPECT_EQ(found.p05, 0.5);  // 20 of 40 gate units have it, not one of two experts
  EXPECT_EQ(found.p50, 0.75);
  EXPECT_EQ(found.mean, 0.75);
}

TEST(StatsKappaCurves, HistogramOfScores) {
  const Histogram counts = histogram({0, 1, 1.5f, 4, kNaN}, 4);
  EXPECT_EQ(counts.counts, (std::vector<std::int64_t>{1, 2, 0, 1}));
  EXPECT_EQ(histogram({2, 2}, 4).counts, (std::vector<std::int64_t>{2}));
  EXPECT_TRUE(histogram({kNaN}, 4).counts.empty());
}

}  // namespace
}  // namespace kappascope
