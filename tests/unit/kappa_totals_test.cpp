// What κ, dense layers and shared experts add up to over a corpus.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "core/figure/catalogue.h"
#include "core/nan.h"
#include "core/stats/gates.h"
#include "core/stats/kappa_corpus.h"
#include "core/stats/kappa_curves.h"
#include "core/stats/kappa_histogram.h"
#include "core/stats/maps.h"
#include "core/trace/byte_archive.h"
#include "core/trace/corpus_totals.h"
#include "tests/unit/stats_fixture.h"

namespace kappascope {
namespace {

// Three tokens of two experts, two slots each; the last token is spoilt, one slot is dropped.
struct SmallRow {
  std::vector<float> mean{1, 2, 4, kNaN, 8, 8}, score{-1, 1, 0.5f, 3, 7, 7};
  RowTokens tokens{.tokens = 3, .experts = 2, .slots = 2};
  SmallRow() {
    tokens.expert = {0, 1, 0, 1, 0, 1};
    tokens.kept = {1, 1, 1, 0, 1, 1};
    tokens.counted = {1, 1, 0};
    tokens.numbers[row_number("kappa_mean")] = {mean.data(), 1};
    tokens.numbers[row_number("kappa_input")] = {score.data(), 1};
  }
};

const float kZero = 0, kFactors[] = {1, 2};

TEST(KappaTotals, AddUpTheSlotsThatRan) {
  const SmallRow row;
  KappaTotals totals, fixed, z;
  totals.add(row.tokens, {.bias = &kZero});
  EXPECT_EQ(totals.mean[0].value(), 5);
  EXPECT_EQ(totals.mean[1].value(), 2);
  EXPECT_EQ(totals.count, (std::vector<std::int64_t>{2, 1}));
  using Weighted = std::vector<std::pair<float, std::int64_t>>;
  EXPECT_EQ(totals.score[0].weighted(), (Weighted{{-1.0f, 1}, {0.5f, 1}}));
  EXPECT_EQ(totals.score[1].weighted(), (Weighted{{1.0f, 1}}));
  fixed.add(row.tokens, {});
  z.add(row.tokens, {.scale = &kZero, .from_gate = true});
  EXPECT_TRUE(fixed.score.empty() && z.score.empty());
  EXPECT_EQ(fixed.count, totals.count);
  KappaTotals twice;
  twice.add(totals);
  twice.add(totals);
  EXPECT_EQ(twice.mean[0].value(), 10);
  EXPECT_EQ(twice.count, (std::vector<std::int64_t>{4, 2}));
  EXPECT_EQ(twice.score[0].count(), 4);
  EXPECT_TRUE(twice.consistent(2, 4));
  EXPECT_FALSE(twice.consistent(3, 4));
  twice.count.pop_back();
  EXPECT_FALSE(twice.consistent(2, 4));
}

// Σ ln κ = ln U · Σ tanh u + n ln factor; sums that Inf or NaN spoilt are left out with their
// count.
TEST(KappaTotals, AddUpTheLogarithms) {
  EffectSums effect[2];
  effect[0].tanh_sum = -3;
  effect[1].tanh_sum = 0.5;
  effect[0].count = effect[1].count = 10;
  KappaTotals totals;
  totals.add_effect(effect, 2, {.factor = kFactors, .log_bound = 0.5f});
  EXPECT_DOUBLE_EQ(totals.log[0].value(), -1.5);
  EXPECT_DOUBLE_EQ(totals.log[1].value(), 0.25 + 10 * std::log(2.0));
  effect[0].tanh_sum = kNaN;
  effect[1].sum = INFINITY;
  totals.add_effect(effect, 2, {.log_bound = 0.5f});
  EXPECT_DOUBLE_EQ(totals.log[0].value(), -1.5);
  EXPECT_EQ(totals.log_count, (std::vector<std::int64_t>{10, 10}));
}

TEST(ScoreSketch, StaysWithinTheErrorThatItStates) {
  std::mt19937 random(3);
  std::normal_distribution<float> draw;
  std::vector<float> values(200000);
  ScoreSketch sketch;
  for (float& value : values) { sketch.add(value = draw(random)); }
  std::sort(values.begin(), values.end());
  EXPECT_GT(sketch.rank_error(), 0);
  EXPECT_LT(sketch.rank_error(), 0.01);
  std::int64_t all = 0, worst = 0;
  for (const auto& [value, times] : sketch.weighted()) {
    const auto rank = std::lower_bound(values.begin(), values.end(), value) - values.begin();
    worst = std::max(worst, std::abs(std::int64_t(rank) - all));
    all += times;
  }
  EXPECT_EQ(all, std::ssize(values));
  EXPECT_LE(double(worst), sketch.rank_error() * double(values.size()) + 1);
}

TEST(SideTotals, KeepLayersInOrderAndCountWhatIsAsked) {
  const float kappa[] = {1, 2}, weights[] = {0.5f, 1}, norms[] = {3, 5};
  const GateStats stats[] = {{1, 2, 3, 4, 5, 6, 7}, {3, 2, 3, 4, kNaN, 6, 7}};
  std::vector<SideTotals> dense, joined;
  const DenseTap tap{.layer = 1,
                     .pass = 0,
                     .first_token = 4,
                     .tokens = 2,
                     .gates = 2,
                     .kappa = kappa,
                     .gate_stats = stats};
  side_of(dense, 1, 1);
  side_of(dense, 1, 0).add(tap, [](std::int64_t) { return true; });
  side_of(dense, 0, 0).add(tap, [](std::int64_t t) { return t == 5; });
  ASSERT_EQ(dense.size(), 3U);
  EXPECT_EQ(dense[0].layer, 0);
  EXPECT_EQ(dense[2].pass, 1);
  EXPECT_EQ(dense[0].mean("gate_mean_abs"), 3);
  EXPECT_EQ(dense[1].mean("gate_mean_abs"), 2);
  EXPECT_EQ(dense[1].mean("gate_kz_rms"), 5);
  EXPECT_TRUE(std::isnan(dense[1].mean("weight")));
  EXPECT_EQ(dense[1].kappa, (std::vector<float>{1, 2}));
  SideTotals shared;
  shared.add(SharedTap{.tokens = 2, .weight = weights, .output_norm = norms, .gate_stats = stats},
             [](std::int64_t) { return true; });
  EXPECT_EQ(shared.mean("weight"), 0.75);
  EXPECT_EQ(shared.mean("output_norm"), 4);
  EXPECT_EQ(shared.mean("gate_saturated_fraction"), 7);
  add_sides(joined, dense);
  add_sides(joined, dense);
  ASSERT_EQ(joined.size(), 3U);
  EXPECT_EQ(joined[1].numbers[kSideGates].count, 4);
  EXPECT_EQ(joined[1].kappa, dense[1].kappa);
}

// By bins 1/128 wide, beside the values themselves.
TEST(EffectBins, HaveTheValuesAboveAQuantile) {
  std::mt19937 random(5);
  std::normal_distribution<double> draw(0.1, 1);
  std::vector<double> values(100001);
  auto totals = std::make_shared<CorpusTotals>();
  totals->effect.make();
  for (double& value : values) {
    value = float(std::pow(draw(random), 3));
    totals->effect.add(float(value));
  }
  Trace trace;
  trace.corpus = totals;
  std::sort(values.begin(), values.end());
  const std::vector<EffectTail> tails = effect_tails(trace, EffectKind::absolute, kEffectTops);
  ASSERT_EQ(tails.size(), 2U);
  for (const EffectTail& tail : tails) {
    const auto first = std::size_t(std::llround(tail.quantile * 100000));
    EXPECT_NEAR(tail.threshold, values[first], values[first] / 128) << tail.quantile;
    const auto n = double(values.size() - first);
    double sum = 0, square = 0;
    for (std::size_t i = first; i < values.size(); ++i) {
      sum += values[i];
      square += values[i] * values[i];
    }
    EXPECT_EQ(tail.effect.count, std::int64_t(n));
    EXPECT_NEAR(tail.effect.mean, sum / n, 1e-3 * sum / n);
    EXPECT_NEAR(tail.effect.mean_abs, sum / n, 1e-3 * sum / n);
    EXPECT_NEAR(tail.effect.rms, std::sqrt(square / n), 1e-3 * std::sqrt(square / n));
    EXPECT_EQ(tail.effect.positive_share, 1);
  }
  EXPECT_TRUE(effect_tails(trace, EffectKind::relative, kEffectTops).empty());
  EXPECT_TRUE(totals->effect.consistent());
  totals->effect.sum.pop_back();
  EXPECT_FALSE(totals->effect.consistent());
}

// A trace of one layer of two experts of three gates, and a corpus of the same tokens.
struct SameTokens {
  HandTrace hand{1, 20, 2, 1, 3};
  std::shared_ptr<ModelParameters> model = std::make_shared<ModelParameters>();
  std::vector<float> factors, scale, bias;
  const std::vector<float> bound = {3};
  const std::vector<std::int32_t> experts{2}, slots{1}, gates{3};
  std::shared_ptr<CorpusTotals> totals = std::make_shared<CorpusTotals>();
  Trace corpus;

  explicit SameTokens(std::vector<float> factor) : factors(std::move(factor)) {
    hand.trace.model_layers = 1;
    hand.trace.token_text.assign(20, "w");
    hand.trace.kappa_factor = factors;
    hand.trace.meta["kappa"] = {{"model", false}, {"in_force", true}};
    hand.trace.meta["interventions"] = {"kappa-mul=2"};
    totals->experts = 2;
    totals->gates = 3;
    totals->rows.resize(1);
    totals->rows[0].choices.assigned = {15, 5};
    for (std::int64_t t = 0; t < 20; ++t) {
      const std::int64_t e = t % 4 == 0;  // 15 and 5 tokens
      hand.keep(0, t, 0, e, 1, factors[e], float(t) / 10 - 1);
    }
  }
  // κ = factor·3^tanh(α·s + b)
  void learn(std::vector<float> alpha, std::vector<float> b) {
    scale = std::move(alpha);
    bias = std::move(b);
    Trace& trace = hand.trace;
    trace.kappa = true;
    trace.kappa_scale_in_force = scale;
    trace.kappa_bias_in_force = bias;
    trace.meta["kappa"] = {{"model", true}, {"in_force", true}, {"input", "router_probs"}};
    model->layer_kind = {"moe"};
    model->layer_experts = experts;
    model->layer_slots = slots;
    model->layer_gates = gates;
    model->kappa_u = bound;
    model->experts = 2;
    model->gates = 3;
    trace.model = model;
    hand.kappa_min.assign(20, 0.5f);  // the gates differ
  }
  // `acted`: κ as the run had it.
  void attach(const KappaView& acted, bool any = true) {
    hand.attach();
    hand.trace.kappa_in_force = std::make_shared<KappaInForce>(hand.trace);
    const RowTokens tokens = row_tokens(TraceLayer(hand.trace, 0));
    if (any) {
      RowTotals& row = totals->rows[0];
      row.kappa.add(tokens, acted);
      for (const char* name : {"kappa_mean", "kappa_min", "kappa_max"}) {
        for (std::int64_t t = 0; t < 20; ++t) {
          row.numbers[row_number(name)].add(tokens.numbers[row_number(name)][t]);
        }
      }
    }
    corpus = hand.trace;
    corpus.corpus = totals;
  }
  std::string notes(const char* id) const {
    const Trace* const traces[] = {&corpus};
    std::string all;
    for (const std::string& note : figure_entry(id).make(traces, {.runs = {"run"}}).notes) {
      all += note + "\n";
    }
    return all;
  }
  void expect_same() const {
    const TraceLayer one(hand.trace, 0), other(corpus, 0);
    const KappaFunction of_trace = kappa_function(one), of_corpus = kappa_function(other);
    ASSERT_TRUE(of_trace.exact() && of_corpus.by_gate());
    for (std::int64_t e = -1; e < 2; ++e) {
      const Band expected = kappa_band(one, of_trace, e).band;
      const KappaBand band = kappa_band(other, of_corpus, e);
      EXPECT_TRUE(band.exact);
      EXPECT_EQ(band.band.p05, expected.p05) << e;
      EXPECT_EQ(band.band.p50, expected.p50) << e;
      EXPECT_EQ(band.band.p95, expected.p95) << e;
      EXPECT_DOUBLE_EQ(band.band.mean, expected.mean) << e;
      const KappaDensity bins = kappa_density(other, of_corpus, e);
      EXPECT_EQ(bins.counts.size(), 64U);
      EXPECT_EQ(bins.counts, kappa_density(one, of_trace, e).counts) << e;
      EXPECT_EQ(bins.edges, kappa_density(one, of_trace, e).edges) << e;
    }
    const KappaSummary expected = kappa_summary(one, of_trace),
                       found = kappa_summary(other, of_corpus);
    EXPECT_DOUBLE_EQ(found.top5_mean, expected.top5_mean);
    EXPECT_DOUBLE_EQ(found.bottom5_mean, expected.bottom5_mean);
    EXPECT_DOUBLE_EQ(found.sqrt_n_mean, expected.sqrt_n_mean);
    EXPECT_EQ(notes("kappa-distribution").find("Approximate"), std::string::npos);
    EXPECT_EQ(notes("kappa-depth").find("Approximate"), std::string::npos);
  }
};

// Nothing learned acts, and the logarithms were not added up.
TEST(KappaOfACorpus, OfExpertsThatGotDifferentNumbers) {
  SameTokens same({2, 0.5f});
  same.attach({.factor = same.factors.data()});
  EXPECT_EQ(kappa_function(TraceLayer(same.corpus, 0)).source, KappaFunction::Source::constant);
  same.expect_same();
  EXPECT_EQ(layer_expert_kappa(same.corpus).values, same.factors);
  const TraceLayer layer(same.corpus, 0);
  EXPECT_NEAR(kappa_summary(layer, kappa_function(layer)).log_mean, std::log(2.0) / 2, 1e-15);

  SameTokens learned({2, 0.5f});  // α and b are 0 in force
  learned.learn({0, 0}, {0, 0});
  learned.attach({.factor = learned.factors.data()});
  learned.expect_same();
  const TraceLayer one(learned.hand.trace, 0), other(learned.corpus, 0);
  for (std::int64_t e = -1; e < 2; ++e) {
    EXPECT_EQ(kappa_parameters(other, kappa_function(other), e).kappa.p25,
              kappa_parameters(one, kappa_function(one), e).kappa.p25);
  }
}

TEST(KappaOfACorpus, MultipliedIsCountedAnewAndSaysHowExactItIs) {
  SameTokens same({2, 4});
  same.learn({0.5f, -0.25f}, {0.25f, 1});
  const KappaView acted{.bias = same.bias.data(),
                        .scale = same.scale.data(),
                        .factor = same.factors.data(),
                        .expert_stride = 1,
                        .scale_expert_stride = 1};
  same.attach(acted);
  same.expect_same();
  const TraceLayer layer(same.corpus, 0);
  const KappaFunction kappa = kappa_function(layer);
  const CorpusKappa second(layer, kappa, 1);
  EXPECT_EQ(second.count(0), 0);
  EXPECT_EQ(second.count(), 15);
  EXPECT_EQ(kappa_band(layer, kappa).rank_error, 0);
  EXPECT_EQ(same.notes("kappa-depth").find("ranks"), std::string::npos);
  for (int i = 0; i < 5000; ++i) { same.totals->rows[0].kappa.score[1].add(float(i % 77)); }
  EXPECT_EQ(kappa_band(layer, kappa, 0).rank_error, 0);
  EXPECT_EQ(kappa_band(layer, kappa).rank_error, same.totals->score_error());
  EXPECT_GT(kappa_band(layer, kappa, 1).rank_error, 0);
  EXPECT_NE(same.notes("kappa-depth").find("ranks may be off"), std::string::npos);
  EXPECT_NE(same.notes("kappa-distribution").find("ranks may be off"), std::string::npos);
}

TEST(KappaOfACorpus, OfNothingIsNotApproximate) {
  SameTokens same({2, 4});
  same.learn({0.5f, -0.25f}, {0.25f, 1});
  same.attach({}, false);
  EXPECT_EQ(same.notes("kappa-depth").find("Approximate"), std::string::npos);
  EXPECT_EQ(same.notes("kappa-distribution").find("Approximate"), std::string::npos);
  const TraceLayer layer(same.corpus, 0);
  EXPECT_TRUE(std::isnan(kappa_summary(layer, kappa_function(layer)).top5_mean));
}

// A rule is one number of a row, of an expert or of a gate unit.
TEST(CorpusTotals, RefusesRulesOfAnotherSize) {
  CorpusTotals totals;
  totals.experts = 3;
  totals.gates = 5;
  for (const std::size_t size : {0U, 1U, 3U, 15U}) {
    totals.rules["kappa_factor"].assign(size, 1.0f);
    EXPECT_EQ(totals.consistent(), size == 0) << size;
  }
  totals.rules.clear();
  totals.layer_cap = {1};
  EXPECT_FALSE(totals.consistent());
  totals.layer_cap.clear();
  totals.u_multiplier = kNaN;
  EXPECT_FALSE(totals.consistent());
}

}  // namespace
}  // namespace kappascope
