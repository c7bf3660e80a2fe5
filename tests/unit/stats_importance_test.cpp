// Importance, utility, u² and bits per byte of traces made by hand.
#include "core/stats/importance.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/stats/expert_card.h"
#include "core/stats/router.h"
#include "core/stats/summary.h"
#include "core/stats/token_card.h"
#include "tests/unit/stats_fixture.h"

namespace kappascope {
namespace {

// 4 tokens × 2 slots over 3 experts: token 3 loses both slots, expert 2 is chosen once and dropped.
struct FourTokens {
  HandTrace hand{1, 4, 3, 2};
  std::vector<float> norm = std::vector<float>(8, kNaN);

  FourTokens() {
    const auto keep = [&](std::int64_t t, std::int64_t k, std::int64_t e, float weight,
                          float size) {
      hand.keep(0, t, k, e, weight);
      norm[hand.at(0, t, k)] = size;
    };
    keep(0, 0, 0, 0.75f, 4);
    keep(0, 1, 1, 0.25f, 8);
    keep(1, 0, 0, 0.5f, 2);
    keep(1, 1, 1, 0.5f, 2);
    keep(2, 0, 0, 1, 1);
    hand.drop(0, 2, 1, 1);
    hand.drop(0, 3, 0, 0);
    hand.drop(0, 3, 1, 2);
    for (std::size_t i = 0; i < 12; ++i) { hand.router_logits[i] = static_cast<float>(i); }
    hand.attach();
    hand.trace.expert_output_norm = norm;
  }
  TraceLayer layer() const { return {hand.trace, 0}; }
};

void set_capacity(Trace& trace, double factor, double minimum) {
  trace.meta["capacity"] = {{"in_force", true}, {"factor", factor}, {"minimum", minimum}};
  trace.meta["window"]["chunks"] = {{{"begin", 0}, {"first_recorded", 0}, {"end", 4}}};
}

TEST(StatsImportance, SaliencyAndShareOfTheStream) {
  const FourTokens four;
  const ExpertImportance found = expert_importance(four.layer());
  EXPECT_DOUBLE_EQ(found.saliency[0], (3.0 + 1 + 1) / 3);
  EXPECT_DOUBLE_EQ(found.saliency[1], (2.0 + 1) / 2);
  EXPECT_TRUE(std::isnan(found.saliency[2]));
  EXPECT_DOUBLE_EQ(found.contribution[0], 5.0 / 8);
  EXPECT_DOUBLE_EQ(found.contribution[1], 3.0 / 8);
  EXPECT_EQ(found.contribution[2], 0);
  HandTrace without(1, 4, 3, 2);
  EXPECT_TRUE(expert_importance({without.trace, 0}).saliency.empty());
}

TEST(StatsImportance, WhatIsNotFiniteIsLeftOut) {
  FourTokens four;
  four.norm[four.hand.at(0, 0, 0)] = INFINITY;
  four.hand.entropy[1] = kNaN;  // token 1 has no finite router numbers
  const ExpertImportance found = expert_importance(four.layer());
  EXPECT_DOUBLE_EQ(found.saliency[0], 1);
  EXPECT_DOUBLE_EQ(found.saliency[1], 2);
}

TEST(StatsImportance, LoadsByHand) {
  const FourTokens four;
  const ExpertLoads loads = expert_loads(four.layer());  // 4, 3 and 1 of 8
  const double nats = -(0.5 * std::log(0.5) + 0.375 * std::log(0.375) + 0.125 * std::log(0.125));
  EXPECT_NEAR(loads.effective, std::exp(nats), 1e-12);
  EXPECT_DOUBLE_EQ(loads.max_vio, 0.5);
  EXPECT_DOUBLE_EQ(drop_rates(four.layer()).no_expert, 0.25);
  const std::vector<double> logits = mean_selected_logit(four.layer());  // token·3 + expert
  EXPECT_DOUBLE_EQ(logits[0], (0 + 3 + 6 + 9) / 4.0);
  EXPECT_DOUBLE_EQ(logits[1], (1 + 4 + 7) / 3.0);
  EXPECT_DOUBLE_EQ(logits[2], 11);
}

TEST(StatsImportance, UtilityFollowsFromTheCallsOfTheRun) {
  FourTokens four;
  Trace& trace = four.hand.trace;
  EXPECT_TRUE(expert_utility(four.layer(), choice_totals(four.layer())).of_expert.empty());
  set_capacity(trace, 1, 1);  // ⌊2·1·4/3⌋ = 2
  const Utility utility = expert_utility(four.layer(), choice_totals(four.layer()));
  EXPECT_DOUBLE_EQ(utility.of_expert[0], 1.5);
  EXPECT_EQ(utility.least, 0);
  EXPECT_DOUBLE_EQ(utility.mean, 2.5 / 3);
  set_capacity(trace, 0.5, 4);  // ⌊4/3⌋ = 1, made even: 2, at least 4
  EXPECT_DOUBLE_EQ(*run_capacity(four.layer()), 4);
  set_capacity(trace, 1.2, 1);  // ⌊3.2⌋ = 3, made even
  EXPECT_DOUBLE_EQ(*run_capacity(four.layer()), 4);
  Json& chunks = trace.meta["window"]["chunks"];
  chunks = {{{"begin", 0}, {"first_recorded", 0}, {"end", 2}},
            {{"begin", 2}, {"first_recorded", 2}, {"end", 4}}};
  EXPECT_DOUBLE_EQ(*run_capacity(four.layer()), 4);  // ⌊1.6⌋ = 1 made 2, twice
  chunks[1]["begin"] = 1;                            // token 1 takes a seat in both calls
  EXPECT_FALSE(run_capacity(four.layer()));
  set_capacity(trace, 1, 1);
  trace.meta["interventions"] = {"capacity=2@0"};
  EXPECT_FALSE(run_capacity(four.layer()));
  trace.meta["interventions"] = Json::array();
  trace.meta["capacity"]["in_force"] = false;
  EXPECT_FALSE(run_capacity(four.layer()));
}

TEST(StatsImportance, SlopeSquareWeighsExpertsByTheirScalars) {
  FourTokens four;
  EXPECT_TRUE(std::isnan(slope_square(four.layer())));
  const std::vector<double> squares = {4, 1, kNaN}, counts = {3, 1, 0};
  four.hand.trace.kappa_u_square = squares;
  four.hand.trace.effect_count = counts;
  EXPECT_TRUE(std::isnan(slope_square(four.layer())));  // κ has no parameters
  four.hand.trace.kappa = true;
  four.hand.trace.meta["kappa"] = {{"model", true},
                                   {"in_force", true},
                                   {"input", "router_probs"},
                                   {"bound_moe", 3.0},
                                   {"start_layer", 0}};
  EXPECT_DOUBLE_EQ(slope_square(four.layer()), 13.0 / 4);
  EXPECT_DOUBLE_EQ(slope_square(four.layer(), 0), 4);
  EXPECT_DOUBLE_EQ(slope_square(four.layer(), 1), 1);
  EXPECT_TRUE(std::isnan(slope_square(four.layer(), 2)));
}

TEST(StatsImportance, SlopeOfADenseLayerFromItsKappa) {
  Trace trace;
  trace.kappa = true;
  trace.dense_layers = 1;
  trace.dense_gates = 3;
  const std::vector<std::int32_t> layer = {0};
  const auto kappa_of = [](double u) { return static_cast<float>(std::pow(2, std::tanh(u))); };
  std::vector<float> kappa = {kappa_of(0.5), kappa_of(-1), kNaN};  // two gate units of its own
  trace.dense_layer_index = layer;
  trace.dense_kappa = kappa;
  trace.meta = {{"kappa", {{"bound_dense", 2.0}}}};
  EXPECT_NEAR(dense_slope_square(trace, 0), (0.25 + 1) / 2, 1e-6);
  trace.meta["kappa_formula"] = "2026-05-20";  // u' = −2·b·c
  EXPECT_NEAR(dense_slope_square(trace, 0), (0.25 + 1) / 8, 1e-6);
  trace.meta["interventions"] = {"kappa-mul=2"};
  EXPECT_TRUE(std::isnan(dense_slope_square(trace, 0)));
  trace.meta.erase("interventions");
  kappa[0] = 2;  // at its bound: u is lost
  EXPECT_TRUE(std::isnan(dense_slope_square(trace, 0)));
  kappa = {1, 1, kNaN};  // a layer without κ
  EXPECT_TRUE(std::isnan(dense_slope_square(trace, 0)));
}

TEST(StatsImportance, BitsPerByteLeavesOutWhatIsNoText) {
  Trace trace;
  const std::vector<float> nll = {kNaN, 2, 3, 5};
  const std::vector<std::int32_t> start = {-1, 0, 1, -1}, end = {-1, 1, 4, -1};
  trace.nll = nll;
  trace.char_start = start;
  trace.char_end = end;
  trace.token_text = {"<|bos|>", "a", " bc", "<|end|>"};
  trace.token_bytes_hex = {"3c", "61", "206263", "3c3e"};
  const BitsPerByte bits = bits_per_byte(trace);
  EXPECT_EQ(bits.bytes, 4);
  EXPECT_DOUBLE_EQ(bits.value, 5 / (std::log(2.0) * 4));
  const std::vector<std::int32_t> from_first = {-1, 0, 3, -1}, to_last = {-1, 3, 6, -1};
  trace.char_start = from_first;
  trace.char_end = to_last;
  trace.token_text[1] = "<b>";  // of the text, though it looks like a control token
  trace.token_bytes_hex[1] = "3c623e";
  EXPECT_EQ(bits_per_byte(trace).bytes, 6);
  // Of SentencePiece's kind: a space in front of the text, alone or in its first token.
  const std::vector<std::int32_t> place = {-1, 0, 0, 2}, behind = {-1, 0, 2, 3};
  trace.char_start = place;
  trace.char_end = behind;
  trace.token_text = {"<s>", " ", "éa", " "};
  trace.token_bytes_hex = {"3c733e", "20", "c3a961", "20"};
  EXPECT_EQ(bits_per_byte(trace).bytes, 4);
  EXPECT_DOUBLE_EQ(bits_per_byte(trace).value, 10 / (std::log(2.0) * 4));
  trace.token_bytes_hex[2] = "20c3a961";
  EXPECT_EQ(text_bytes(trace, 2), 3);
  EXPECT_EQ(text_bytes(trace, 1), 0);
  EXPECT_EQ(text_bytes(trace, 0), -1);
  trace.token_bytes_hex = {"", "", "", ""};  // ids without a tokenizer
  EXPECT_TRUE(std::isnan(bits_per_byte(trace).value));
}

TEST(StatsImportance, SummaryHasNoKeyForWhatATraceLacks) {
  FourTokens four;
  Trace& trace = four.hand.trace;
  trace.expert_output_norm = {};
  const Json bare = summary_json(trace, summarise(trace))["layers"][0];
  for (const char* key :
       {"saliency", "contribution", "utility_min", "utility_mean", "kappa_slope_l2", "as_logged"}) {
    EXPECT_FALSE(bare.contains(key)) << key;
  }
  EXPECT_DOUBLE_EQ(bare["no_expert_rate"].get<double>(), 0.25);
  trace.expert_output_norm = four.norm;
  set_capacity(trace, 1, 1);
  for (float& value : four.hand.gate) { value = 0.5f; }
  const Json full = summary_json(trace, summarise(trace))["layers"][0];
  EXPECT_DOUBLE_EQ(full["saliency"][1].get<double>(), 1.5);
  EXPECT_TRUE(full["saliency"][2].is_null());
  const Json logged = full["as_logged"];
  EXPECT_DOUBLE_EQ(logged["occupancy"].get<double>(), 5.0 / 6);  // of 3 experts × 2 seats
  EXPECT_DOUBLE_EQ(logged["gate_mean_abs"].get<double>(), 0.5 * 5 / 6);
}

TEST(StatsImportance, CardsTellOfTheExpertAndTheToken) {
  FourTokens four;
  Trace& trace = four.hand.trace;
  set_capacity(trace, 1, 1);
  const ExpertCard card = expert_card(trace, 0, 1);
  EXPECT_DOUBLE_EQ(card.saliency, 1.5);
  EXPECT_DOUBLE_EQ(card.contribution, 3.0 / 8);
  EXPECT_DOUBLE_EQ(card.utility, 1);
  EXPECT_DOUBLE_EQ(card.mean_logit, 4);
  EXPECT_DOUBLE_EQ(card.served[0].output_norm, 8);
  std::vector<float> scores(12, 0.25f);
  trace.selection_score = scores;
  const TokenLayer layer = token_card(trace, 0).layers[0];
  EXPECT_FALSE(layer.without_expert);
  EXPECT_DOUBLE_EQ(layer.slots[1].contribution, 2);
  EXPECT_DOUBLE_EQ(layer.slots[1].logit, 1);
  EXPECT_DOUBLE_EQ(layer.slots[1].selection_score, 0.25);
  EXPECT_TRUE(token_card(trace, 3).layers[0].without_expert);
}

}  // namespace
}  // namespace kappascope
