// Differences of two traces made by hand.
#include "core/stats/difference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/stats/comparison.h"
#include "core/stats/layer_statistics.h"
#include "tests/unit/stats_fixture.h"

namespace kappascope {
namespace {

struct Text {
  std::vector<std::int32_t> id, start, end;
  std::vector<float> nll;

  void attach(Trace& trace) const {
    trace.token_id = id;
    trace.char_start = start;
    trace.char_end = end;
    trace.nll = nll;
  }
};

// Four tokens of one layer; in B tokens 1 and 2 choose other experts, 2 by a near tie.
struct TwoRuns {
  HandTrace a{1, 4, 4, 2}, b{1, 4, 4, 2};
  Text text_a{{9, 1, 2, 3}, {-1, 0, 3, 5}, {-1, 3, 5, 9}, {kNaN, 2, 3, 1}};
  Text text_b{{9, 1, 2, 3}, {-1, 0, 3, 5}, {-1, 3, 5, 9}, {kNaN, 1.5f, 3.25f, kNaN}};

  TwoRuns() {
    for (std::int64_t t = 0; t < 4; ++t) {
      a.keep(0, t, 0, 0);
      a.keep(0, t, 1, 1);
      b.keep(0, t, 0, 1);
      b.keep(0, t, 1, 0);
    }
    b.keep(0, 1, 1, 2);
    b.drop(0, 2, 0, 3);
    b.margin = {0.5f, 0.5f, 1e-4f, 1e-4f};
    for (HandTrace* hand : {&a, &b}) {
      hand->trace.token_text = {"<|bos|>", "abc", "de", "fghi"};
      hand->trace.token_bytes_hex = {"00", "616263", "6465", "66676869"};
      hand->attach();
    }
    text_a.attach(a.trace);
    text_b.attach(b.trace);
  }
};

TEST(StatsDifference, LossOfTheSameTokens) {
  const TwoRuns runs;
  EXPECT_EQ(tokens_differ_because(runs.a.trace, runs.b.trace), "");
  const LossDifference loss = loss_difference(runs.a.trace, runs.b.trace);
  ASSERT_EQ(loss.nll.size(), 4u);
  EXPECT_TRUE(std::isnan(loss.nll[0]));
  EXPECT_EQ(loss.nll[1], 0.5);
  EXPECT_EQ(loss.nll[2], -0.25);
  EXPECT_TRUE(std::isnan(loss.nll[3]));  // B has none
  EXPECT_EQ(loss.tokens, 2);
  EXPECT_EQ(loss.sum, 0.25);
  EXPECT_EQ(loss.mean, 0.125);
  EXPECT_EQ(loss.bytes, 5);
  EXPECT_DOUBLE_EQ(loss.bits_per_byte, 0.25 / (std::log(2.0) * 5));
}

TEST(StatsDifference, LossOfSidesIsOverTheirTextsAndPairs) {
  TwoRuns runs;
  runs.b.layer_index = {1};  // layers are not compared
  runs.b.attach();
  const std::vector<RunOfTexts> sides{{"a", {&runs.a.trace, &runs.a.trace}, {}},
                                      {"b", {&runs.b.trace, &runs.b.trace}, {}},
                                      {"again", {&runs.b.trace, &runs.b.trace}, {}}};
  for (const std::vector<std::size_t>& other : {std::vector<std::size_t>{1}, {1, 2}}) {
    const SideComparison found = compare_sides(sides, {0}, other, Resamples(2, 10, 1));
    EXPECT_TRUE(found.same_tokens);
    EXPECT_NE(found.rows_differ, "");
    EXPECT_EQ(found.tokens, 4);
    EXPECT_EQ(found.bytes, 10);
    EXPECT_DOUBLE_EQ(found.nll.mean, 0.125);
    EXPECT_EQ(found.nll.of_text, (std::vector<double>{0.125, 0.125}));
    EXPECT_DOUBLE_EQ(found.bits_per_byte.mean, 0.25 / (std::log(2.0) * 5));
    EXPECT_TRUE(std::isnan(found.nll_of_pairs.mean));
  }
  const SideComparison pairs = compare_sides(sides, {0, 0}, {1, 2}, Resamples(2, 10, 1));
  EXPECT_EQ(pairs.nll_of_pairs.of_text, (std::vector<double>{0.125, 0.125}));
}

// A splits "abcdefghi" into ab|cde|fghi, B into abc|de|fg|hi: the whole is common from "abcde" on.
TEST(StatsDifference, OtherTokenizersMeetAtCharacters) {
  TwoRuns runs;
  runs.text_a = {{9, 1, 2, 3}, {-1, 0, 2, 5}, {-1, 2, 5, 9}, {kNaN, 2, 3, 1}};
  HandTrace b(1, 5, 4, 2);
  const Text text{{9, 5, 6, 7, 8}, {-1, 0, 3, 5, 7}, {-1, 3, 5, 7, 9}, {kNaN, 1, 2, 0.5f, 1.5f}};
  b.trace.token_text = {"<|bos|>", "abc", "de", "fg", "hi"};
  b.trace.token_bytes_hex = {"00", "616263", "6465", "6667", "6869"};
  runs.text_a.attach(runs.a.trace);
  text.attach(b.trace);
  EXPECT_EQ(tokens_differ_because(runs.a.trace, b.trace), "they are of 4 and of 5 tokens");
  const std::vector<Stretch> stretches = common_stretches(runs.a.trace, b.trace);
  ASSERT_EQ(stretches.size(), 2u);
  EXPECT_EQ(stretches[0].first_a, 1);
  EXPECT_EQ(stretches[0].last_a, 2);
  EXPECT_EQ(stretches[0].first_b, 1);
  EXPECT_EQ(stretches[0].last_b, 2);
  EXPECT_EQ(stretches[1].first_a, 3);
  EXPECT_EQ(stretches[1].last_b, 4);
  const LossDifference loss = loss_difference(runs.a.trace, b.trace);
  EXPECT_EQ(loss.nll, (std::vector<double>{2, -1}));
  EXPECT_EQ(loss.tokens, 4);
  EXPECT_EQ(loss.bytes, 9);
  EXPECT_DOUBLE_EQ(loss.bits_per_byte, 1 / (std::log(2.0) * 9));
}

// Two tokens of one character: there is no border between them.
TEST(StatsDifference, NoBorderWithinACharacter) {
  HandTrace a(1, 3, 2, 1), b(1, 2, 2, 1);
  const Text of_a{{1, 2, 3}, {0, 0, 1}, {1, 1, 2}, {1, 2, 4}};
  const Text of_b{{7, 8}, {0, 1}, {1, 2}, {2, 3}};
  of_a.attach(a.trace);
  of_b.attach(b.trace);
  const std::vector<Stretch> stretches = common_stretches(a.trace, b.trace);
  ASSERT_EQ(stretches.size(), 2u);
  EXPECT_EQ(stretches[0].last_a, 1);
  EXPECT_EQ(stretches[0].last_b, 0);
  EXPECT_EQ(loss_difference(a.trace, b.trace).nll, (std::vector<double>{1, 1}));
}

TEST(StatsDifference, DivergenceIsOverWhatIsANumber) {
  TwoRuns runs;
  EXPECT_TRUE(std::isnan(divergence_of(runs.a.trace).mean.value()));
  const std::vector<float> divergence = {0.25f, 0.5f, kNaN, 0.125f};
  runs.a.trace.kl_against = divergence;
  EXPECT_DOUBLE_EQ(divergence_of(runs.a.trace).mean.value(), (0.25 + 0.5 + 0.125) / 3);
  EXPECT_EQ(divergence_of(runs.a.trace).most, 0.5);
}

TEST(StatsDifference, RoutedOtherwise) {
  TwoRuns runs;
  runs.a.entropy[3] = kNaN;  // token 3 is not known
  const std::vector<RowPair> rows = common_rows(runs.a.trace, runs.b.trace);
  ASSERT_EQ(rows.size(), 1u);
  const RoutingDifference found = routing_difference(runs.a.trace, runs.b.trace, rows[0]);
  EXPECT_EQ(found.tokens, (std::vector<Routed>{Routed::same, Routed::otherwise, Routed::near_tie,
                                               Routed::unknown}));
  EXPECT_EQ(found.compared, 3);
  EXPECT_EQ(found.otherwise, 2);
  EXPECT_EQ(found.near_ties, 1);
  EXPECT_DOUBLE_EQ(found.share(), 2.0 / 3);
}

// Of B's eight choices A made all but those of experts 2 and 3.
TEST(StatsDifference, RouterSaturation) {
  TwoRuns runs;
  EXPECT_DOUBLE_EQ(router_saturation(runs.a.trace, runs.b.trace, {0, 0}), 6.0 / 8);
  EXPECT_DOUBLE_EQ(router_saturation(runs.a.trace, runs.a.trace, {0, 0}), 1);
  for (float& entropy : runs.a.entropy) { entropy = kNaN; }
  EXPECT_TRUE(std::isnan(router_saturation(runs.a.trace, runs.b.trace, {0, 0})));
}

// All in one, with the divergence where the predictions were compared with those of such a run.
TEST(StatsDifference, OfTwoRuns) {
  TwoRuns runs;
  const std::vector<float> divergence = {kNaN, 0.5f, 1.5f, kNaN};
  runs.a.trace.kl_against = divergence;
  runs.a.trace.meta = {{"against", Json::array({"top-k=1"})}};
  RunDifference found = run_difference(runs.a.trace, runs.b.trace);
  EXPECT_TRUE(std::isnan(found.divergence));  // B has no interventions
  runs.b.trace.meta = {{"interventions", Json::array({"top-k=1"})}};
  found = run_difference(runs.a.trace, runs.b.trace);
  EXPECT_EQ(found.divergence, 1);
  EXPECT_EQ(found.loss.sum, 0.25);
  ASSERT_EQ(found.layers.size(), 1u);
  EXPECT_EQ(found.layers[0].routing.otherwise, 2);
  const auto& statistics = found.layers[0].statistics;
  const auto load = std::find_if(statistics.begin(), statistics.end(),
                                 [](const auto& one) { return one.name == "load_cv"; });
  ASSERT_NE(load, statistics.end());
  const auto& experts = found.layers[0].experts;
  ASSERT_EQ(experts.size(), 4u);
  const auto of_a = summarise(runs.a.trace), of_b = summarise(runs.b.trace);
  for (const ExpertDifference& one : experts) {
    EXPECT_EQ(one.load, of_a[0].load[one.expert] - of_b[0].load[one.expert]);
    EXPECT_GE(std::abs(experts[0].load), std::abs(one.load));
  }
  EXPECT_EQ(load->difference(),
            summarise(runs.a.trace)[0].load_cv - summarise(runs.b.trace)[0].load_cv);
}

TEST(StatsDifference, EveryStatisticOfALayer) {
  const TwoRuns runs;
  const auto a = summarise(runs.a.trace), b = summarise(runs.b.trace);
  const Json json = difference_json(runs.a.trace, a, runs.b.trace, b);
  const Json& layer = json.at("layers").at(0);
  EXPECT_DOUBLE_EQ(layer.at("statistics_difference").at("load_cv").get<double>(),
                   a[0].load_cv - b[0].load_cv);
  EXPECT_DOUBLE_EQ(layer.at("statistics_difference").at("load").at(0).get<double>(),
                   a[0].load[0] - b[0].load[0]);
  EXPECT_FALSE(layer.at("statistics_difference").contains("alignment_mean"));  // neither has it
  EXPECT_EQ(layer.at("routed_otherwise"), 2);
  // Each name is the path of the same number in summary.json.
  const Json summary = summary_json(runs.a.trace, a).at("layers").at(0);
  for (const LayerStatistic& statistic : layer_statistics()) {
    std::string path = "/" + std::string(statistic.name);
    std::replace(path.begin(), path.end(), '.', '/');
    const double value = statistic.of(a[0]);
    if (!std::isfinite(value)) { continue; }
    ASSERT_TRUE(summary.contains(Json::json_pointer(path))) << path;
    EXPECT_EQ(summary.at(Json::json_pointer(path)).get<double>(), value) << path;
  }
}

}  // namespace
}  // namespace kappascope
