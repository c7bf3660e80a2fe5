// Soft routing: budgets of a model, what a run may change, statistics.
#include "core/stats/soft_routing.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/engine/run_plan.h"
#include "core/model/description.h"
#include "tests/tools/synthetic.h"
#include "tests/unit/expect_error.h"
#include "tests/unit/stats_fixture.h"
#include "tests/unit/trace_fixture.h"

namespace kappascope {
namespace {

using ::kappascope::testing::error_of;

struct SoftModel {
  explicit SoftModel(const Json& fields = Json::object()) {
    synthetic::ModelSpec spec;
    spec.layers = 5;
    spec.experts = 8;
    spec.soft_budget = 7;
    spec.config = fields;
    synthetic::write_model(folder / "model", spec);
    model = open_model(folder / "model");
  }
  RunPlan plan(std::initializer_list<const char*> words) const {
    std::vector<Intervention> list;
    for (const char* word : words) { list.push_back(parse_intervention(word)); }
    return resolve(model, in_order(list));
  }
  trace_test::TempFolder folder;
  Model model;
};

TEST(SoftRouting, BudgetsShareTheTotal) {
  const SoftModel soft;
  const TensorInfo* eta = soft.model.weights.tensor(Role::soft_budgets);
  ASSERT_NE(eta, nullptr);
  double sum = 0, total = 0;
  for (const float value : soft.model.tensors->floats(*eta)) { sum += std::exp(double(value)); }
  std::size_t next = 0;
  for (const LayerSpec& layer : soft.model.architecture.layers) {
    if (layer.moe() == nullptr) { continue; }
    const double budget = layer.moe()->router.soft->budget;
    const double share = std::exp(double(soft.model.tensors->floats(*eta)[next++])) / sum;
    EXPECT_NEAR(budget, share * (7 - 4) + 1, 1e-12);
    total += budget;
  }
  EXPECT_NEAR(total, 7, 1e-12);
  EXPECT_EQ(next, 4u);
}

TEST(SoftRouting, EditsChangeTheRuleOfTheirLayers) {
  const SoftModel soft(Json{{"lapsum_threshold_scale", 1.2}, {"lapsum_expansion", 1.5}});
  const RunPlan none = soft.plan({});
  EXPECT_EQ(none.layers[1].soft_rule().relative, 1.2);
  EXPECT_EQ(none.layers[1].slots, 8);
  EXPECT_FALSE(none.layers[1].capacity);
  const RunPlan plan = soft.plan({"budget=2.5@2", "threshold=0.3@3", "temperature=2"});
  EXPECT_EQ(plan.layers[2].soft_rule().budget, 2.5);
  EXPECT_EQ(plan.layers[2].soft_rule().most, 4);  // ⌈1.5·2.5⌉
  EXPECT_EQ(plan.layers[2].soft_rule().relative, 1.2);
  EXPECT_LT(plan.layers[3].soft_rule().relative, 0);
  EXPECT_EQ(plan.layers[3].soft_rule().threshold, 0.3);
  EXPECT_EQ(plan.layers[4].soft_rule().temperature, 2);
}

TEST(SoftRouting, EditsOfTopKAreRefused) {
  const SoftModel soft;
  for (const char* word :
       {"top-k=1", "capacity=off", "capacity=2", "route=1:0:2", "ablate=1:0:reroute"}) {
    const std::string error = error_of([&] { soft.plan({word}); });
    EXPECT_EQ(error.substr(0, 2), "4 ") << word;
    EXPECT_NE(error.find("soft routing"), std::string::npos) << error;
  }
  EXPECT_EQ(error_of([&] { soft.plan({"budget=8"}); }).substr(0, 2), "4 ");
  EXPECT_EQ(error_of([&] { soft.plan({"budget=1@0"}); }).substr(0, 2), "4 ");  // a dense layer
  EXPECT_TRUE(soft.plan({"ablate=1:0", "ablate=2:1:mean"}).layers[1].has(ExpertMode::zero));
}

TEST(SoftRouting, StatisticsOfAHandMadeTrace) {
  HandTrace hand(3, 2, 4, 2);
  for (std::int64_t m = 0; m < 3; ++m) {
    hand.keep(m, 0, 0, 1);
    hand.keep(m, 0, 1, 2);
    hand.keep(m, 1, 0, 3);
  }
  EXPECT_TRUE(std::isnan(budget_summary(hand.trace).total));  // top-k routing
  const std::vector<float> budgets{1, 1.5, 2.5}, thresholds{0.2f, 0.2f, 0.2f};
  const std::vector<std::int32_t> caps{2, 0, 2};
  std::vector<float> weights(24, 0.1f);
  weights[0] = weights[1] = weights[2] = 0.4f;  // layer 0, token 0: three above the threshold
  hand.trace.layer_budget = budgets;
  hand.trace.layer_threshold = thresholds;
  hand.trace.layer_cap = caps;
  hand.trace.soft_weight = weights;
  BudgetSummary summary = budget_summary(hand.trace);
  EXPECT_EQ(summary.total, 5);
  EXPECT_EQ(summary.last_third, 0.5);
  EXPECT_EQ(summary.experts_run, 1.5);
  EXPECT_TRUE(std::isnan(summary.active_parameters));
  EXPECT_EQ(tokens_at_cap(TraceLayer(hand.trace, 0)), 1);
  EXPECT_EQ(tokens_at_cap(TraceLayer(hand.trace, 1)), 0);
  hand.trace.meta["parameters"] = {{"always", 100}, {"per_expert", {10, 20, 30}}};
  EXPECT_EQ(budget_summary(hand.trace).active_parameters, 100 + 1.5 * 60);
  hand.trace.meta["parameters"]["per_expert"].push_back(40);  // a layer that was not recorded
  EXPECT_TRUE(std::isnan(budget_summary(hand.trace).active_parameters));
}

}  // namespace
}  // namespace kappascope
