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
  const auto tokens = std::size_t(args.tokens), cells = std::size_t(args.tokens * args.slots);
  RouteResult out{std::vector<std::int32_t>(cells), std::vector<float>(cells),
                  std::vector<float>(cells),        std::vector<float>(tokens),
                  std::vector<float>(tokens),       std::vector<float>(tokens),
                  std::vector<float>(tokens),       std::vector<float>(tokens),
                  std::vector<std::uint8_t>(cells)};
  args.expert_index = out.index.data();
  args.expert_weight = out.weight.data();
  args.expert_kept = out.kept.data();
  args.kappa_input = out.input.data();
  args.top1_prob = out.top1.data();
  args.selected_mass = out.mass.data();
  args.margin = out.margin.data();
  args.top_gap = out.gap.data();
  args.entropy = out.entropy.data();
  kernel(args);
  return out;
}

void expect_all_near(const std::vector<float>& actual, const std::vector<float>& expected,
                     float tolerance, const char* what) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    expect_near(actual[i], expected[i], tolerance, tolerance, what);
  }
}

TEST(CpuRoute, ChoosesAsTheReferenceAlsoAmongTiesAndNaN) {
  for (const std::int64_t experts : {1, 2, 7, 33, 64, 130}) {
    for (const std::int64_t slots : {1, 2, 8}) {
      if (slots > experts) { continue; }
      SCOPED_TRACE(testing::Message() << slots << " of " << experts);
      const std::int64_t tokens = 67;
      auto logits = normal(std::size_t(tokens * experts), 1, 2);
      for (std::size_t i = 0; i < logits.size() / 2; ++i) {  // many ties
        logits[i] = std::round(logits[i]);
      }
      logits[3] = kNaN;
      logits[logits.size() - 1] = -kInfinity;
      const auto bias = normal(std::size_t(experts), 2, 0.5f);
      RouteArgs args;
      args.tokens = tokens;
      args.experts = experts;
      args.slots = slots;
      args.logits = logits.data();
      args.selection_bias = experts == 33 ? bias.data() : nullptr;
      args.capacity = 20;
      args.score = RouteScore::router_probs;
      const RouteResult expected = route(args, route_ref);
      for_each_kernels([&](const CpuKernels& kernels) {
        const RouteResult actual = route(args, [&](const RouteArgs& a) {
          kernels.route_tokens(a, 0, 13);
          kernels.route_tokens(a, 13, a.tokens);
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
