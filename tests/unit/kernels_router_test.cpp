// Routing and next-token kernels of every instruction set of this machine against their references.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/unit/kernels_fixture.h"

namespace kappascope {
namespace {

struct RouteResult {
  std::vector<std::int32_t> index;
  std::vector<float> weight, input, top1, mass, margin, gap, entropy;
  std::vector<std::uint8_t> kept;
};

template <typename Route>
RouteResult route(RouteArgs args, Route kernel) {
  const auto tokens = std::size_t(args.routing.tokens);
  const std::size_t cells = tokens * std::size_t(args.routing.slots);
  RouteResult out{std::vector<std::int32_t>(cells), std::vector<float>(cells),
                  std::vector<float>(cells),        std::vector<float>(tokens),
                  std::vector<float>(tokens),       std::vector<float>(tokens),
                  std::vector<float>(tokens),       std::vector<float>(tokens),
                  std::vector<std::uint8_t>(cells)};
  args.routing.cells = {nullptr, out.index.data(), out.weight.data(), out.kept.data(),
                        out.input.data()};
  args.routing.numbers = {out.top1.data(), out.mass.data(), out.margin.data(), out.gap.data(),
                          out.entropy.data()};
  kernel(args);
  return out;
}

void expect_all_near(const std::vector<float>& actual, const std::vector<float>& expected,
                     float tolerance, const char* what) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    expect_near(actual[i], expected[i], tolerance, tolerance, what);
  }
}

// Of every third token all slots but the first have their expert, no two the same.
std::vector<std::int32_t> given_experts(std::int64_t tokens, std::int64_t slots,
                                        std::int64_t experts) {
  std::vector<std::int32_t> given(std::size_t(tokens * slots), -1);
  for (std::int64_t t = 0; t < tokens; t += 3) {
    for (std::int64_t k = slots > 1 ? 1 : 0; k < slots; ++k) {
      given[t * slots + k] = std::int32_t((t + k) % experts);
    }
  }
  return given;
}

TEST(Route, GivenExpertsTakeTheirSlotsAndTheBestOnesLeftTheOthers) {
  const float logits[] = {1, 3, 2, 4, 1, 3, 2, 4}, bias[] = {0, 0, 0, -kInfinity};
  const std::int32_t given[] = {-1, 0, -1, -1};
  RouteArgs args;
  args.routing = {2, 4, 2, logits, {}, {}};
  args.capacity = -1;
  args.given_expert = given;
  args.selection_bias = bias;
  const RouteResult out = route(args, route_ref);
  EXPECT_EQ(out.index, (std::vector<std::int32_t>{1, 0, 1, 2}));
  EXPECT_FLOAT_EQ(out.weight[0], 1 / (1 + std::exp(-2.0f)));
  EXPECT_EQ(out.margin, (std::vector<float>{-1, 1}));
}

TEST(CpuRoute, ChoosesAsTheReferenceAlsoAmongTiesAndNaN) {
  for (const std::int64_t experts : {1, 2, 7, 33, 64, 130}) {
    for (const std::int64_t slots : {1, 2, 8}) {
      if (slots > experts) { continue; }
      SCOPED_TRACE(::testing::Message() << slots << " of " << experts);
      const std::int64_t tokens = 67;
      auto logits = normal(std::size_t(tokens * experts), 1, 2);
      for (std::size_t i = 0; i < logits.size() / 2; ++i) {  // many ties
        logits[i] = std::round(logits[i]);
      }
      logits[3] = kNaN;
      logits[logits.size() - 1] = -kInfinity;
      const auto bias = normal(std::size_t(experts), 2, 0.5f);
      const auto given = normal(std::size_t(tokens * experts), 3);
      RouteArgs args;
      args.routing = {tokens, experts, slots, logits.data(), {}, {}};
      args.selection_bias = experts == 33 ? bias.data() : nullptr;
      args.capacity = 20;
      args.score = slots == 2 ? RouteScore::given : RouteScore::router_probs;
      args.score_factor = 1.5f;
      args.given_score = given.data();
      const auto experts_given = given_experts(tokens, slots, experts);
      if (experts % 2 == 1) { args.given_expert = experts_given.data(); }
      const RouteResult expected = route(args, route_ref);
      for_each_kernels([&](const CpuKernels& kernels) {
        const RouteResult actual = route(args, [&](const RouteArgs& a) {
          kernels.route_tokens(a, 0, 13);
          kernels.route_tokens(a, 13, a.routing.tokens);
          route_capacity(a);
        });
        EXPECT_EQ(actual.index, expected.index);
        EXPECT_EQ(actual.kept, expected.kept);
        expect_all_near(actual.weight, expected.weight, 0, "weight");
        expect_all_near(actual.input, expected.input, 0, "κ input");
        expect_all_near(actual.margin, expected.margin, 0, "margin");
        expect_all_near(actual.gap, expected.gap, 0, "gap");
        expect_all_near(actual.top1, expected.top1, 1e-6f, "highest probability");
        expect_all_near(actual.mass, expected.mass, 1e-6f, "selected mass");
        expect_all_near(actual.entropy, expected.entropy, 2e-6f, "entropy");
      });
    }
  }
}

// A router's rules in turn, each with and without a bias and given experts.
std::vector<RouterRule> rules() {
  RouterRule sigmoid{.score = ExpertScore::sigmoid, .by_score = true};
  sigmoid.weight = RouteWeight::normalised;
  sigmoid.scale = 2.5f;
  sigmoid.added = 1e-6f;
  RouterRule groups = sigmoid;
  groups.groups = 4;
  groups.kept_groups = 2;
  groups.two_best = true;
  RouterRule of_all{.weight = RouteWeight::score};
  of_all.scale = 3;
  of_all.groups = 4;
  of_all.kept_groups = 3;
  RouterRule softmax{.by_score = true, .weight = RouteWeight::normalised};
  softmax.least = 1e-12f;
  RouterRule mixer{.weight = RouteWeight::sparse_mixer};
  mixer.jitter = 0.1f;
  return {sigmoid, groups, of_all, softmax, mixer};
}

TEST(CpuRoute, EveryRuleChoosesAndWeighsAsTheReference) {
  const std::int64_t tokens = 67, experts = 24, slots = 4;
  auto logits = normal(std::size_t(tokens * experts), 4, 2);
  logits[5] = kNaN;
  const auto bias = normal(std::size_t(experts), 5, 0.3f);
  const auto given = given_experts(tokens, slots, experts);
  for (const RouterRule& rule : rules()) {
    for (const bool more : {false, true}) {
      RouteArgs args;
      args.routing = {tokens, experts, slots, logits.data(), {}, {}};
      args.rule = rule;
      args.capacity = -1;
      if (more) {
        args.selection_bias = bias.data();
        args.given_expert = given.data();
      }
      const RouteResult expected = route(args, route_ref);
      for_each_kernels([&](const CpuKernels& kernels) {
        const RouteResult actual = route(args, [&](const RouteArgs& a) {
          kernels.route_tokens(a, 0, a.routing.tokens);
          route_capacity(a);
        });
        EXPECT_EQ(actual.index, expected.index);
        expect_all_near(actual.weight, expected.weight, 1e-6f, "weight");
        expect_all_near(actual.margin, expected.margin, 1e-6f, "margin");
        expect_all_near(actual.top1, expected.top1, 1e-6f, "highest probability");
        expect_all_near(actual.mass, expected.mass, 1e-6f, "selected mass");
        expect_all_near(actual.entropy, expected.entropy, 2e-6f, "entropy");
      });
    }
  }
}

TEST(Route, SigmoidScoresWithABiasAreChosenByTheirSumAndWeighWithoutIt) {
  const float logits[] = {0, 2, -1, 1}, bias[] = {0, -1, 0.9f, 0};
  RouteArgs args;
  args.routing = {1, 4, 2, logits, {}, {}};
  args.capacity = -1;
  args.selection_bias = bias;
  args.rule.score = ExpertScore::sigmoid;
  args.rule.by_score = true;
  args.rule.weight = RouteWeight::normalised;
  args.rule.scale = 2;
  const RouteResult out = route(args, route_ref);
  const auto sigma = [](float x) { return 1 / (1 + std::exp(-x)); };
  EXPECT_EQ(out.index, (std::vector<std::int32_t>{2, 3}));
  const float sum = sigma(-1) + sigma(1), all = sum + sigma(0) + sigma(2);
  EXPECT_FLOAT_EQ(out.weight[0], 2 * sigma(-1) / sum);
  EXPECT_FLOAT_EQ(out.weight[1], 2 * sigma(1) / sum);
  EXPECT_FLOAT_EQ(out.margin[0], sigma(1) - sigma(0));
  EXPECT_FLOAT_EQ(out.mass[0], sum / all);
  EXPECT_FLOAT_EQ(out.top1[0], sigma(2) / all);
  EXPECT_FLOAT_EQ(out.gap[0], 1);
}

TEST(Route, GroupsAreKeptByTheirTwoBestAndTheirMarginCounts) {
  // Groups of two: sums 5, 4.8, 4.5, 1; the first two are kept, and 4.5 is nearer than any expert.
  const float logits[] = {5, 0, 2.4f, 2.4f, 4, 0.5f, 1, 0};
  RouteArgs args;
  args.routing = {1, 8, 2, logits, {}, {}};
  args.capacity = -1;
  args.rule.groups = 4;
  args.rule.kept_groups = 2;
  args.rule.two_best = true;
  const RouteResult out = route(args, route_ref);
  EXPECT_EQ(out.index, (std::vector<std::int32_t>{0, 2}));
  EXPECT_FLOAT_EQ(out.margin[0], 0);  // of experts 2 and 3
  float scores[8];
  put_selection_scores(args, scores);
  EXPECT_EQ(scores[3], 2.4f);
  EXPECT_EQ(scores[4], -kInfinity);
  args.routing.slots = 3;
  EXPECT_FLOAT_EQ(route(args, route_ref).margin[0], 4.8f - 4.5f);
  args.rule.two_best = false;
  EXPECT_EQ(route(args, route_ref).index, (std::vector<std::int32_t>{0, 4, 5}));
}

TEST(Route, TheSparseMixerWeighsEachSlotAmongWhatIsNearIt) {
  const float logits[] = {2, 1.9f, 1, 0.95f};
  RouteArgs args;
  args.routing = {1, 4, 2, logits, {}, {}};
  args.capacity = -1;
  args.rule.weight = RouteWeight::sparse_mixer;
  args.rule.jitter = 0.05f;  // near: (m − r)/m ≤ 0.1
  const RouteResult out = route(args, route_ref);
  EXPECT_EQ(out.index, (std::vector<std::int32_t>{0, 1}));
  EXPECT_FLOAT_EQ(out.weight[0], 1 / (1 + std::exp(-0.1f)));
  EXPECT_FLOAT_EQ(out.weight[1], 1);
}

TEST(Route, TheScoreIsTheFormulasOrTheOneGiven) {
  const float logits[] = {1, 3, 2}, norm[] = {2, 4, 8}, given[] = {7, 8, 9};
  const auto score_of = [&](RouteScore score) {
    RouteArgs args;
    args.routing = {1, 3, 2, logits, {}, {}};
    args.capacity = -1;
    args.score = score;
    args.score_factor = 0.5f;
    args.score_norm = norm;
    args.given_score = given;
    args.score_constant = 5;
    const RouteResult out = route(args, route_ref);
    EXPECT_EQ(out.index, (std::vector<std::int32_t>{1, 2}));
    return out.input[1];
  };
  EXPECT_FLOAT_EQ(score_of(RouteScore::router_probs), 0.5f / (1 + std::exp(1.0f)));
  EXPECT_EQ(score_of(RouteScore::raw_logit), 1);
  EXPECT_EQ(score_of(RouteScore::scaled_logit), 0.125f);
  EXPECT_EQ(score_of(RouteScore::constant), 5);
  EXPECT_EQ(score_of(RouteScore::given), 9);
  EXPECT_TRUE(std::isnan(score_of(RouteScore::none)));
}

TEST(RoutingView, FromATokenOnPointsAtItsCellsAndNumbers) {
  float weight[8] = {}, score[8] = {}, numbers[20] = {};
  std::int32_t expert[8] = {};
  std::uint8_t kept[8] = {};
  const float logits[12] = {};
  const RoutingView all{4,
                        3,
                        2,
                        logits,
                        {nullptr, expert, weight, kept, score},
                        {numbers, numbers + 4, numbers + 8, numbers + 12, numbers + 16}};
  const RoutingView rest = all.from(3);
  EXPECT_EQ(rest.tokens, 1);
  EXPECT_EQ(rest.logits, logits + 9);
  EXPECT_EQ(rest.cells.expert, expert + 6);
  EXPECT_EQ(rest.cells.score, score + 6);
  EXPECT_EQ(rest.numbers.entropy, numbers + 19);
  EXPECT_EQ(rest.first_cell(1), 2);
  const std::int64_t row_start[] = {0, 1, 1, 4, 8};
  RoutingView ragged = all;
  ragged.cells.row_start = row_start;
  EXPECT_EQ(ragged.from(2).first_cell(0), 1);  // the cells stay where they are
  EXPECT_EQ(ragged.from(2).cells.weight, weight);
  EXPECT_EQ(ragged.from(2).first_cell(2), 8);
}

struct NextResult {
  std::vector<float> nll, logprob;
  std::vector<std::int32_t> rank, id;
};

NextResult next(NextTokenArgs args, void (*kernel)(const NextTokenArgs&)) {
  const auto rows = std::size_t(args.rows);
  NextResult out{std::vector<float>(rows), std::vector<float>(rows * kTopTokens),
                 std::vector<std::int32_t>(rows), std::vector<std::int32_t>(rows * kTopTokens)};
  args.nll = out.nll.data();
  args.target_rank = out.rank.data();
  args.top_id = out.id.data();
  args.top_logprob = out.logprob.data();
  kernel(args);
  return out;
}

TEST(CpuNextToken, ReadsAsTheReferenceAlsoTiesAndNaN) {
  for (const std::int64_t vocab : {1, 3, 7, 31, 64, 130, 5000}) {
    SCOPED_TRACE(vocab);
    const std::int64_t rows = 9;
    auto logits = normal(std::size_t(rows * vocab), 1, 5);
    for (std::int64_t v = 0; v < vocab; ++v) {
      logits[vocab + v] = std::round(logits[vocab + v]);  // ties
      if (v % 3 == 0) { logits[2 * vocab + v] = kNaN; }
      logits[3 * vocab + v] = 1;
    }
    std::vector<std::int32_t> target(std::size_t(rows), -1);
    for (std::int64_t r = 0; r < rows - 1; ++r) {
      target[r] = std::int32_t((r * 31 + vocab / 2) % vocab);
    }
    const NextTokenArgs args{rows, vocab, logits.data(), target.data()};
    const NextResult expected = next(args, next_token_ref);
    for_each_kernels([&](const CpuKernels& kernels) {
      const NextResult actual = next(args, kernels.next_token);
      EXPECT_EQ(actual.rank, expected.rank);
      EXPECT_EQ(actual.id, expected.id);
      expect_all_near(actual.nll, expected.nll, 1e-6f, "nll");
      expect_all_near(actual.logprob, expected.logprob, 1e-6f, "ln p");
    });
  }
}

}  // namespace
}  // namespace kappascope
