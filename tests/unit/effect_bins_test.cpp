// The κ effect of a corpus over its largest values, where many of them are 0.
#include <gtest/gtest.h>

#include <memory>

#include "core/stats/gates.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {
namespace {

// Of `zeros` gate units with κ = 1, and values below and above.
std::vector<EffectTail> tails_of(int zeros, const std::vector<float>& others) {
  auto totals = std::make_shared<CorpusTotals>();
  EffectBins calls[2];
  for (EffectBins& call : calls) { call.make(); }
  for (int i = 0; i < zeros; ++i) { calls[i % 2].add(i % 3 ? 0.0f : -0.0f); }
  for (std::size_t i = 0; i < others.size(); ++i) { calls[i % 2].add(others[i]); }
  totals->effect.add(calls[0]);
  totals->effect.add(calls[1]);
  Trace trace;
  trace.corpus = totals;
  return effect_tails(trace, EffectKind::absolute, kEffectTops);
}

TEST(EffectBins, OfKappaOneAreAllAtTheThreshold) {
  for (const EffectTail& tail : tails_of(100, {})) {
    EXPECT_EQ(tail.threshold, 0);
    EXPECT_EQ(tail.effect.count, 100);
    EXPECT_EQ(tail.effect.mean, 0);
    EXPECT_EQ(tail.effect.positive_share, 0);
  }
}

TEST(EffectBins, TakeAllZerosWhereTheyAreTheThreshold) {
  // 95 % are 0: those are the threshold of the upper 10 %, not of the upper 2 %.
  const std::vector<EffectTail> tails =
      tails_of(950, std::vector<float>{std::vector<float>(50, 0.5f)});
  ASSERT_EQ(tails.size(), 2U);
  EXPECT_EQ(tails[0].threshold, 0);
  EXPECT_EQ(tails[0].effect.count, 1000);
  EXPECT_NEAR(tails[0].effect.mean, 0.025, 1e-9);
  EXPECT_NEAR(tails[0].effect.positive_share, 0.05, 1e-12);
  EXPECT_NEAR(tails[1].threshold, 0.5, 0.5 / 128);
  EXPECT_EQ(tails[1].effect.positive_share, 1);
}

TEST(EffectBins, OfNegativeValuesAreNegative) {
  for (const EffectTail& tail : tails_of(0, std::vector<float>(64, -2.0f))) {
    EXPECT_NEAR(tail.threshold, -2, 2.0 / 128);
    EXPECT_EQ(tail.effect.positive_share, 0);
    EXPECT_NEAR(tail.effect.mean, -2, 1e-9);
    EXPECT_NEAR(tail.effect.mean_abs, 2, 1e-9);
  }
}

}  // namespace
}  // namespace kappascope
