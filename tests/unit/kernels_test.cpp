// The kernels of every instruction set of this machine against their references.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "tests/unit/kernels_fixture.h"

namespace kappascope {
namespace {

// Every 997th float, which meets every exponent, both signs, denormal numbers, infinities and NaN.
void check_function(CpuKernels::Function function, double (*exact)(double), bool positive) {
  std::vector<float> x, y;
  for (std::uint64_t bits = 0; bits <= 0xffffffff; bits += 997) {
    const auto part = static_cast<std::uint32_t>(bits);
    float value = 0;
    std::memcpy(&value, &part, sizeof value);
    if (!positive || !std::signbit(value)) { x.push_back(value); }
  }
  for (const float value : {0.0f, 1.0f, kInfinity, kNaN}) { x.push_back(value); }
  if (!positive) { x.push_back(-kInfinity); }
  y.resize(x.size());
  function(x.data(), y.data(), std::int64_t(x.size()));
  double worst = 0, at = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float expected = static_cast<float>(exact(x[i]));
    if (std::isnan(expected) || std::isinf(expected)) {
      // The logarithm takes what lies below the normal numbers as the smallest of those.
      if (!(positive && x[i] < 0x1p-126f)) { expect_near(y[i], expected, 0, 0, "special value"); }
      continue;
    }
    if (positive && x[i] < 0x1p-126f) { continue; }
    const double error = std::fabs(double(y[i]) - exact(x[i]));
    const double ulp = std::nextafter(std::fabs(expected), kInfinity) - std::fabs(expected);
    const double excess = std::min(error / 1e-6, error / (2 * ulp));
    if (!(excess <= worst)) { worst = excess, at = x[i]; }
  }
  EXPECT_LE(worst, 1) << "worst at " << at;
}

TEST(CpuFunctions, AreWithinTwoUlpOrAMillionthEverywhere) {
  for_each_kernels([](const CpuKernels& kernels) {
    check_function(kernels.exp, [](double x) { return std::exp(x); }, false);
    check_function(kernels.tanh, [](double x) { return std::tanh(x); }, false);
    check_function(kernels.sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, false);
    check_function(kernels.log, [](double x) { return std::log(x); }, true);
  });
}

struct SwigluCase {
  std::int64_t rows = 5, gates = 64, first_recorded = 0;
  bool kappa = true, scale = true, identity = false;
  std::int64_t gate_stride = 1;
  float log_bound = std::log(3.0f);
  float nan_at = -1;  // this value of z
  float factor = 0;   // 0: none
  bool from_gate = false, scored = true, biased = true;
  std::int64_t scale_stride = -1;  // of α; −1: as that of b
};

// Everything a call gives.
struct SwigluResult {
  std::vector<float> hidden, kappa, pre, act, position;
  std::vector<GateStats> stats;
  std::vector<KappaStatistics> kappa_stats;
  std::vector<std::int64_t> kappa_hist, gate_pre_hist;
  EffectSums effect;
};

struct SwigluInput {
  std::vector<float> z, up, bias, scale, score;
  KappaView view;
  explicit SwigluInput(const SwigluCase& c)
      : z(normal(std::size_t(c.rows * c.gates), 1, 3)),
        up(normal(std::size_t(c.rows * c.gates), 2)),
        bias(normal(std::size_t(c.gates * 2), 3)),
        scale(normal(std::size_t(c.gates * 2), 4)),
        score(normal(std::size_t(c.rows), 5)) {
    if (c.nan_at >= 0) { z[c.nan_at] = kNaN; }
    if (!c.scale) { std::fill(score.begin(), score.end(), 0.7f); }
    z[0] = 8, z.back() = -8;  // edges of the histogram
    if (c.kappa && c.biased) { view.bias = bias.data(); }
    if (c.kappa && c.scale) { view.scale = scale.data(); }
    if (c.factor != 0) { view.factor = &c.factor; }
    view.gate_stride = c.gate_stride;
    view.scale_gate_stride = c.scale_stride < 0 ? c.gate_stride : c.scale_stride;
    view.log_bound = c.log_bound;
    view.from_gate = c.from_gate;
  }
  const float* score_or_null(const SwigluCase& c) const {
    return c.scored ? score.data() : nullptr;
  }
};

SwigluResult run(const SwigluCase& c, const SwigluInput& in,
                 void (*kernel)(const KappaSwigluArgs&)) {
  const auto cells = std::size_t(c.rows * c.gates), rows = std::size_t(c.rows);
  SwigluResult out{in.up,
                   std::vector<float>(cells),
                   std::vector<float>(cells),
                   std::vector<float>(cells),
                   std::vector<float>(cells),
                   std::vector<GateStats>(rows),
                   std::vector<KappaStatistics>(rows),
                   std::vector<std::int64_t>(kKappaBins, 3),
                   std::vector<std::int64_t>(kGatePreBins, 2),
                   {}};
  KappaSwigluArgs args;
  args.rows = c.rows;
  args.gates = c.gates;
  args.gate_pre = in.z.data();
  args.up = args.hidden = out.hidden.data();
  args.score = in.score_or_null(c);
  args.kappa = in.view;
  args.identity_gate = c.identity;
  args.first_recorded = c.first_recorded;
  args.stats = out.stats.data();
  args.kappa_stats = out.kappa_stats.data();
  args.kappa_hist = out.kappa_hist.data();
  args.gate_pre_hist = out.gate_pre_hist.data();
  args.effect = &out.effect;
  args.position_out = out.position.data();
  args.kappa_out = out.kappa.data();
  args.gate_act_out = out.act.data();
  args.gate_pre_out = out.pre.data();
  std::vector<std::int64_t> out_row(rows);
  for (std::size_t r = 0; r < rows; ++r) { out_row[r] = std::int64_t(rows - 1 - r); }
  args.out_row = out_row.data();
  kernel(args);
  return out;
}

// Values that rounding may put into the neighbouring bin.
std::int64_t near_a_bin_edge(const SwigluCase& c, const SwigluInput& in) {
  std::int64_t found = 0;
  for (std::int64_t r = c.first_recorded; r < c.rows && !in.view.fixed(); ++r) {
    for (std::int64_t i = 0; i < c.gates; ++i) {
      const float u = in.view.argument(i, c.scored ? in.score[r] : 0, in.z[r * c.gates + i]);
      const float bin = in.view.position(std::tanh(u)) * 32 + 32;
      found += std::fabs(bin - std::round(bin)) < 1e-4f;
    }
  }
  return found;
}

void expect_same(const SwigluCase& c, const SwigluInput& in, const SwigluResult& actual,
                 const SwigluResult& expected) {
  for (std::size_t i = 0; i < expected.hidden.size(); ++i) {
    expect_near(actual.hidden[i], expected.hidden[i], 2e-6f, 4e-6f, "hidden");
    expect_near(actual.kappa[i], expected.kappa[i], 1e-6f, 4e-6f, "kappa");
    expect_near(actual.position[i], expected.position[i], 1e-6f, 4e-6f, "ln κ / ln U");
    expect_near(actual.pre[i], expected.pre[i], 0, 0, "z");
    expect_near(actual.act[i], expected.act[i], 1e-6f, 4e-6f, "a");
  }
  for (std::size_t r = 0; r < expected.stats.size(); ++r) {
    const GateStats &a = actual.stats[r], &e = expected.stats[r];
    const float one = 1.001f / float(c.gates);  // a value at a threshold
    expect_near(a.mean_abs, e.mean_abs, 1e-6f, 4e-6f, "mean |a|");
    expect_near(a.active_fraction, e.active_fraction, one, 0, "active");
    expect_near(a.top_share, e.top_share, 1e-6f, 4e-6f, "top share");
    expect_near(a.entropy, e.entropy, 4e-6f, 4e-6f, "entropy");
    expect_near(a.kz_rms, e.kz_rms, 1e-6f, 4e-6f, "rms κz");
    expect_near(a.linear_fraction, e.linear_fraction, one, 0, "linear");
    expect_near(a.saturated_fraction, e.saturated_fraction, one, 0, "saturated");
    const KappaStatistics &k = actual.kappa_stats[r], &l = expected.kappa_stats[r];
    expect_near(k.mean, l.mean, 1e-6f, 4e-6f, "κ mean");
    expect_near(k.minimum, l.minimum, 1e-6f, 4e-6f, "κ minimum");
    expect_near(k.maximum, l.maximum, 1e-6f, 4e-6f, "κ maximum");
    expect_near(k.p05, l.p05, 1e-6f, 4e-6f, "κ p05");
    expect_near(k.p95, l.p95, 1e-6f, 4e-6f, "κ p95");
  }
  EXPECT_EQ(actual.gate_pre_hist, expected.gate_pre_hist);
  std::int64_t moved = 0;
  for (std::size_t i = 0; i < kKappaBins; ++i) {
    moved += std::abs(actual.kappa_hist[i] - expected.kappa_hist[i]);
  }
  EXPECT_LE(moved, 2 * near_a_bin_edge(c, in));
  EXPECT_EQ(actual.effect.count, expected.effect.count);
  const double n = std::max<double>(1, double(expected.effect.count));
  EXPECT_NEAR(actual.effect.sum / n, expected.effect.sum / n, 1e-6);
  EXPECT_NEAR(actual.effect.sum_abs / n, expected.effect.sum_abs / n, 1e-6);
  EXPECT_NEAR(actual.effect.sum_square / n, expected.effect.sum_square / n, 1e-5);
  EXPECT_NEAR(actual.effect.rel_sum / n, expected.effect.rel_sum / n, 1e-4);
  EXPECT_NEAR(actual.effect.rel_sum_abs / n, expected.effect.rel_sum_abs / n, 1e-4);
  EXPECT_NEAR(actual.effect.rel_sum_square / n, expected.effect.rel_sum_square / n,
              1e-4 * (1 + expected.effect.rel_sum_square / n));
  EXPECT_NEAR(actual.effect.positive, expected.effect.positive, 2);
  EXPECT_NEAR(actual.effect.rel_positive, expected.effect.rel_positive, 2);
  const double slope = expected.effect.slope_square / n;
  EXPECT_NEAR(actual.effect.slope_square / n, slope, 1e-6 * (1 + slope));
  EXPECT_NEAR(actual.effect.tanh_sum / n, expected.effect.tanh_sum / n, 1e-6);
}

void check_swiglu(const SwigluCase& c) {
  const SwigluInput in(c);
  const SwigluResult expected = run(c, in, kappa_swiglu_ref);
  for_each_kernels([&](const CpuKernels& kernels) {
    expect_same(c, in, run(c, in, kernels.kappa_swiglu), expected);
  });
}

TEST(CpuKappaSwiglu, IsTheReferencesAtEverySize) {
  for (const std::int64_t rows : kSizes) {
    for (const std::int64_t gates : {1, 7, 31, 33, 64, 130, 500, 2048}) {
      SCOPED_TRACE(::testing::Message() << rows << " rows, " << gates << " gate units");
      check_swiglu({.rows = rows, .gates = gates});
    }
  }
}

TEST(CpuKappaSwiglu, TakesEveryKindOfKappaAndGate) {
  check_swiglu({.gates = 130, .kappa = false});
  check_swiglu({.gates = 130, .identity = true});
  check_swiglu({.gates = 130, .kappa = false, .identity = true});
  check_swiglu({.gates = 130, .scale = false});
  check_swiglu({.gates = 130, .gate_stride = 0});  // per expert, layer or model
  check_swiglu({.gates = 130, .scale = false, .gate_stride = 0});
  check_swiglu({.gates = 130, .gate_stride = 2});
  check_swiglu({.gates = 130, .log_bound = -std::log(3.0f)});  // U < 1
  check_swiglu({.gates = 130, .log_bound = 0});
  check_swiglu({.rows = 33, .gates = 130, .first_recorded = 7});
  check_swiglu({.gates = 130, .first_recorded = 5});
}

TEST(CpuKappaSwiglu, TakesAFactorAfterTheBound) {
  for (const std::int64_t gates : kSizes) {
    for (const float factor : {0.01f, 0.5f, 1.0f, 1.7f, 200.0f}) {
      SCOPED_TRACE(::testing::Message() << factor << " · κ, " << gates << " gate units");
      check_swiglu({.rows = 7, .gates = gates, .factor = factor});
      check_swiglu({.rows = 7, .gates = gates, .scale = false, .factor = factor});
      check_swiglu({.rows = 7, .gates = gates, .kappa = false, .factor = factor});
      check_swiglu({.rows = 7, .gates = gates, .log_bound = 0, .factor = factor});
      check_swiglu({.rows = 7, .gates = gates, .log_bound = -1, .factor = factor});
    }
  }
}

TEST(CpuKappaSwiglu, TakesKappaFromItsOwnGate) {
  for (const std::int64_t gates : kSizes) {
    for (const std::int64_t scale_stride : {0, 1}) {  // per-expert and per-layer, per-gate
      for (const bool scored : {false, true}) {
        SCOPED_TRACE(::testing::Message() << "α stride " << scale_stride << ", " << gates
                                          << " gate units, score " << scored);
        const SwigluCase plain{.rows = 7,
                               .gates = gates,
                               .from_gate = true,
                               .scored = scored,
                               .scale_stride = scale_stride};
        SwigluCase of = plain;
        check_swiglu(of);
        of.gate_stride = 0;
        check_swiglu(of);
        of.biased = false;
        check_swiglu(of);
        of.factor = 1.5f;
        check_swiglu(of);
        of = plain;
        of.first_recorded = 3, of.nan_at = float(4 * gates);
        check_swiglu(of);
      }
    }
  }
}

TEST(CpuKappaSwiglu, TakesAlphaCoarserThanTheBiasOrAlone) {
  for (const std::int64_t gates : kSizes) {
    check_swiglu({.rows = 7, .gates = gates, .scale_stride = 0});  // α = 1 of a κ router
    check_swiglu({.rows = 7, .gates = gates, .gate_stride = 0, .scale_stride = 1});
    check_swiglu({.rows = 7, .gates = gates, .biased = false});
    check_swiglu({.rows = 7, .gates = gates, .biased = false, .scale_stride = 0});
  }
}

TEST(CpuKappaSwiglu, CountsTheKappaThatActed) {
  for_each_kernels([&](const CpuKernels& kernels) {
    for (const auto kernel : {kernels.kappa_swiglu, &kappa_swiglu_ref}) {
      const SwigluCase c{.kappa = false, .log_bound = 1, .factor = std::exp(0.51f)};
      const SwigluResult out = run(c, SwigluInput(c), kernel);
      EXPECT_EQ(out.kappa_hist[48] - 3, c.rows * c.gates);  // 32·0.51 + 32 = 48.3
      EXPECT_EQ(out.effect.slope_square, 0);
      EXPECT_EQ(out.effect.tanh_sum, 0);
      EXPECT_GT(out.effect.sum_abs, 0);
      const SwigluCase beyond{.kappa = false, .log_bound = 1, .factor = 20};
      EXPECT_EQ(run(beyond, SwigluInput(beyond), kernel).kappa_hist[63] - 3, c.rows * c.gates);
    }
  });
}

TEST(KappaView, MovesToAnExpertByTheStridesOfEachParameter) {
  const float bias[6] = {}, scale[2] = {}, factor[2] = {2, 3};
  const KappaView layer{bias, scale, factor, 3, 1, 1, 0, 1.0f, true};
  const KappaView one = layer.at_expert(1);
  EXPECT_EQ(one.bias, bias + 3);
  EXPECT_EQ(one.scale, scale + 1);
  EXPECT_EQ(one.factor_value(), 3);
  EXPECT_TRUE(KappaView{}.at_expert(5).fixed());
}

TEST(CpuNorm, IsTheReferencesAtEverySize) {
  for_each_kernels([](const CpuKernels& kernels) {
    for (const std::int64_t size : {0, 1, 7, 31, 33, 64, 130, 2048}) {
      const auto x = normal(std::size_t(size), 9, 1e3f);
      expect_near(kernels.norm(x.data(), size), norm_ref(x.data(), size), 0, 1e-7f, "norm");
    }
  });
}

TEST(CpuKappaSwiglu, ANaNSpoilsItsRowAlone) {
  check_swiglu({.gates = 130, .nan_at = 131});
  check_swiglu({.gates = 33, .nan_at = 65});
}

TEST(CpuKappaSwiglu, WhatIsRecordedChangesNoNumber) {
  const SwigluCase c{.rows = 7, .gates = 130};
  const SwigluInput in(c);
  for_each_kernels([&](const CpuKernels& kernels) {
    std::vector<float> hidden = in.up;
    KappaSwigluArgs args;
    args.rows = c.rows;
    args.gates = c.gates;
    args.gate_pre = in.z.data();
    args.up = args.hidden = hidden.data();
    args.score = in.score.data();
    args.kappa = in.view;
    kernels.kappa_swiglu(args);
    EXPECT_EQ(hidden, run(c, in, kernels.kappa_swiglu).hidden);
  });
}

}  // namespace
}  // namespace kappascope
