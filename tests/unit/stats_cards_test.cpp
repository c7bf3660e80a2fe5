// What the cards of a token and of an expert hold, by hand.
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/stats/expert_card.h"
#include "core/stats/router.h"
#include "core/stats/token_card.h"
#include "tests/unit/stats_fixture.h"

namespace kappascope {
namespace {

// Three tokens in layers 4 and 6: expert 1 serves tokens 0 and 2, drops token 1.
struct Sample {
  HandTrace hand{2, 3, 3, 2};
  std::vector<std::int32_t> id = {0, 7, 9}, start = {-1, 0, 4}, end = {-1, 4, 5}, rank = {-1, 0, 3},
                            top = std::vector<std::int32_t>(15, -1);
  std::vector<float> nll = {kNaN, 0.5f, 2.5f}, logprob = std::vector<float>(15, kNaN), sharpness;

  Sample() {
    hand.layer_index = {4, 6};
    hand.keep(1, 0, 0, 1, 0.75f, 1.5f, 1.25f);
    hand.keep(1, 0, 1, 2, 0.25f, 3);
    hand.keep(1, 1, 0, 0, 0.5f, 2);
    hand.drop(1, 1, 1, 1);
    hand.keep(1, 2, 0, 1, 1, 6, 2);
    hand.margin[4] = 1e-4f;
    sharpness.assign(12, kNaN);
    for (std::size_t i = 6; i < 12; ++i) {
      if (hand.expert_kept[i] != 0) { sharpness[i] = static_cast<float>(i); }
    }
    for (std::int32_t i = 0; i < 5; ++i) {
      top[i] = 10 + i;  // behind token 0
      logprob[i] = -0.5f * static_cast<float>(i + 1);
    }
    top[5] = 3;  // behind token 1, of a vocabulary of one
    logprob[5] = -0.25f;
    Trace& trace = hand.trace;
    trace.gate_kz_rms = sharpness;
    trace.token_id = id;
    trace.char_start = start;
    trace.char_end = end;
    trace.target_rank = rank;
    trace.nll = nll;
    trace.top_token_id = top;
    trace.top_token_logprob = logprob;
    trace.token_text = {"<|bos|>", " the", "x"};
    trace.token_bytes_hex = {"", "20746865", "78"};
  }
};

TEST(TokenCard, WhatTheModelReadAndExpected) {
  const Sample sample;
  const TokenCard card = token_card(sample.hand.trace, 1);
  EXPECT_EQ(card.id, 7);
  EXPECT_EQ(card.text, " the");
  EXPECT_EQ(card.bytes_hex, "20746865");
  EXPECT_EQ(card.char_start, 0);
  EXPECT_EQ(card.char_end, 4);
  EXPECT_EQ(card.nll, 0.5);
  EXPECT_EQ(card.bytes, 4);
  EXPECT_DOUBLE_EQ(card.bits_per_byte, 0.5 / (4 * std::log(2.0)));
  EXPECT_EQ(card.target_rank, 0);
  ASSERT_EQ(card.instead_of.size(), 5u);
  EXPECT_EQ(card.instead_of[4].id, 14);
  EXPECT_EQ(card.instead_of[4].logprob, -2.5);
  ASSERT_EQ(card.after.size(), 1u);
  EXPECT_EQ(card.after[0].id, 3);
  const TokenCard first = token_card(sample.hand.trace, 0);
  EXPECT_TRUE(first.instead_of.empty());
  EXPECT_TRUE(std::isnan(first.nll));
  EXPECT_EQ(first.target_rank, -1);
  EXPECT_TRUE(token_card(sample.hand.trace, 2).after.empty());
}

TEST(TokenCard, WhatItsExpertsDid) {
  const Sample sample;
  const TokenCard card = token_card(sample.hand.trace, 1);
  ASSERT_EQ(card.layers.size(), 2u);
  const TokenLayer& layer = card.layers[1];
  EXPECT_EQ(layer.row, 1);
  EXPECT_EQ(layer.layer, 6);
  EXPECT_EQ(layer.pass, 0);
  EXPECT_EQ(layer.top1_prob, 0.5);
  EXPECT_TRUE(layer.near_tie);
  EXPECT_FALSE(card.layers[0].near_tie);
  ASSERT_EQ(layer.slots.size(), 2u);
  EXPECT_EQ(layer.slots[0].expert, 0);
  EXPECT_TRUE(layer.slots[0].kept);
  EXPECT_EQ(layer.slots[0].weight, 0.5);
  EXPECT_EQ(layer.slots[0].kappa_mean, 2);
  EXPECT_EQ(layer.slots[0].sharpness, 8);
  EXPECT_TRUE(std::isnan(layer.slots[0].kappa_p05));  // not recorded
  EXPECT_EQ(layer.slots[1].expert, 1);
  EXPECT_FALSE(layer.slots[1].kept);
  EXPECT_TRUE(std::isnan(layer.slots[1].kappa_mean));
  EXPECT_EQ(card.layers[0].slots[0].expert, -1);
  EXPECT_TRUE(std::isnan(card.layers[0].slots[0].weight));
}

TEST(TokenCard, ATraceOfNothingElse) {
  HandTrace hand(0, 1, 0, 0);
  hand.trace.token_id = {};
  const TokenCard card = token_card(hand.trace, 0);
  EXPECT_EQ(card.id, -1);
  EXPECT_TRUE(std::isnan(card.nll));
  EXPECT_TRUE(card.layers.empty());
  EXPECT_TRUE(card.after.empty());
  EXPECT_THROW(token_card(hand.trace, 1), Error);
  EXPECT_THROW(token_card(hand.trace, -1), Error);
}

TEST(ExpertCard, LoadAndTheTokensItServed) {
  const Sample sample;
  const ExpertCard card = expert_card(sample.hand.trace, 1, 1);
  EXPECT_EQ(card.layer, 6);
  EXPECT_EQ(card.experts, 3);
  EXPECT_EQ(card.assigned, 3);
  EXPECT_EQ(card.kept, 2);
  EXPECT_EQ(card.dropped, 1);
  EXPECT_DOUBLE_EQ(card.load, 0.6);
  EXPECT_DOUBLE_EQ(card.load_over_even, 1.8);
  EXPECT_EQ(card.load_rank, 1);
  EXPECT_DOUBLE_EQ(card.gate_mass, 1.75 / 3);
  ASSERT_EQ(card.served.size(), 3u);
  EXPECT_EQ(card.served[0].token, 0);
  EXPECT_EQ(card.served[0].slot, 0);
  EXPECT_EQ(card.served[0].score, 1.25);
  EXPECT_EQ(card.served[1].slot, 1);
  EXPECT_FALSE(card.served[1].kept);
  EXPECT_TRUE(std::isnan(card.served[1].kappa_mean));
  EXPECT_EQ(expert_card(sample.hand.trace, 1, 2).load_rank, 3);  // one token, as expert 0
}

TEST(ExpertCard, KappaAndGatesOverItsKeptTokens) {
  const Sample sample;
  const ExpertCard card = expert_card(sample.hand.trace, 1, 1);
  EXPECT_TRUE(card.kappa.exact);
  EXPECT_DOUBLE_EQ(card.kappa.band.mean, 3.75);
  EXPECT_DOUBLE_EQ(card.kappa.band.p50, 3.75);
  EXPECT_DOUBLE_EQ(card.kappa.log_mean, std::log(9.0) / 2);
  EXPECT_DOUBLE_EQ(card.gates.gate_kz_rms, 8);  // of 6 and 10
  EXPECT_DOUBLE_EQ(card.gates.gate_active_fraction, 0);
  EXPECT_TRUE(std::isnan(card.kappa_upper));  // κ is off
  EXPECT_EQ(card.effect.count, 0);
  EXPECT_TRUE(std::isnan(card.alignment_mean));
}

TEST(ExpertCard, WithoutParametersFromTheHistogram) {
  Sample sample;
  Trace& trace = sample.hand.trace;
  trace.kappa = true;
  trace.meta = {{"kappa", {{"bound_moe", 0.5}, {"start_layer", 0}}}};
  sample.hand.kappa_max[sample.hand.at(1, 0, 0)] = 2;  // gates differ
  sample.hand.kappa_hist[4 * kKappaBins] = 8;          // expert 1: ln κ = ln 2
  sample.hand.kappa_hist[5 * kKappaBins + 63] = 8;
  const std::vector<double> mean = {0, 0, 0, 0, 0.25, 0}, count = {0, 0, 0, 0, 16, 0};
  trace.effect_mean = trace.effect_abs = trace.effect_rms = trace.effect_positive = mean;
  trace.effect_count = count;
  const ExpertCard card = expert_card(trace, 1, 1);
  EXPECT_FALSE(card.kappa.exact);
  EXPECT_NEAR(card.kappa.log_mean, std::log(2.0) * (1 - 1.0 / 64), 1e-12);
  EXPECT_DOUBLE_EQ(card.kappa_lower, 0.5);
  EXPECT_DOUBLE_EQ(card.kappa_upper, 2);
  EXPECT_EQ(card.effect.count, 16);
  EXPECT_EQ(card.effect.mean_abs, 0.25);
  EXPECT_EQ(expert_card(trace, 1, 2).effect.count, 0);
}

TEST(ExpertCard, ExpertsAddUpToTheirLayer) {
  const Sample sample;
  const TraceLayer layer(sample.hand.trace, 1);
  std::int64_t assigned = 0, kept = 0;
  for (std::int64_t e = 0; e < 3; ++e) {
    const ExpertCard card = expert_card(sample.hand.trace, 1, e);
    assigned += card.assigned;
    kept += card.kept;
  }
  EXPECT_EQ(assigned, 5);
  EXPECT_EQ(kept, 4);
  EXPECT_THROW(expert_card(sample.hand.trace, 1, 3), Error);
  EXPECT_THROW(expert_card(sample.hand.trace, 2, 0), Error);
  const ExpertCard idle = expert_card(sample.hand.trace, 0, 0);
  EXPECT_EQ(idle.assigned, 0);
  EXPECT_TRUE(std::isnan(idle.load));
  EXPECT_TRUE(idle.served.empty());
}

TEST(ExpertCard, ServedInTheOrderAskedFor) {
  const Sample sample;
  const ExpertCard card = expert_card(sample.hand.trace, 1, 1);
  const auto tokens = [&](ServedOrder order) {
    std::vector<std::int64_t> list;
    for (const ServedEntry& entry : served_by(card, order)) { list.push_back(entry.token); }
    return list;
  };
  EXPECT_EQ(tokens(ServedOrder::token), (std::vector<std::int64_t>{0, 1, 2}));
  EXPECT_EQ(tokens(ServedOrder::weight), (std::vector<std::int64_t>{2, 0, 1}));
  EXPECT_EQ(tokens(ServedOrder::kappa), (std::vector<std::int64_t>{2, 0, 1}));
  EXPECT_EQ(tokens(ServedOrder::sharpness), (std::vector<std::int64_t>{2, 0, 1}));
}

}  // namespace
}  // namespace kappascope
