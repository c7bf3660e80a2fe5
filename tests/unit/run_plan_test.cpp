// Interventions: their text form, and what a plan makes of them (SPEC §9).
#include "core/engine/run_plan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/expect_error.h"
#include "tests/unit/trace_fixture.h"

namespace kappascope {
namespace {

using ::kappascope::testing::error_of;
using trace_test::make_model;

std::string canonical(std::string_view word) {
  return parse_intervention(word).text();
}

TEST(Interventions, OneTextForOneEdit) {
  EXPECT_EQ(canonical("kappa=off"), "kappa=off");
  EXPECT_EQ(canonical("kappa=1"), "kappa=off");
  EXPECT_EQ(canonical("kappa=0.50"), "kappa=0.5");
  EXPECT_EQ(canonical("kappa-mul=2@7,3,2,4"), "kappa-mul=2@2-4,7");
  EXPECT_EQ(canonical("kappa-bias=-0.25@*:0-3"), "kappa-bias=-0.25@*:0-3");
  EXPECT_EQ(canonical("kappa-scale=1@4:1"), "kappa-scale=1@4:1");
  EXPECT_EQ(canonical("top-k=1@5"), "top-k=1@5");
  EXPECT_EQ(canonical("capacity=off"), "capacity=off");
  EXPECT_EQ(canonical("loop=3"), "loop=3");
}

TEST(Interventions, WrongWordsAreUsageErrors) {
  for (const char* word :
       {"kappa=0",        "kappa=-1",    "kappa=two",      "kappa=",          "kappa=nan",
        "kappa=1e39",     "kappa=1e-46", "kappa-mul=1e60", "kappa-bias=1e39", "kappa-mul=off",
        "kappa-bias=inf", "capacity=0",  "top-k=0",        "top-k=1.5",       "top-k=2@3:1",
        "capacity=2@3:1", "loop=0",      "loop=65",        "loop=2@1",        "kappa=2@",
        "kappa=2@a",      "kappa=2@3-1", "kappa=2@1:",     "kappa=2@1,",      "ablat=3:1",
        "kappa"}) {
    EXPECT_EQ(error_of([&] { parse_intervention(word); }).substr(0, 2), "2 ") << word;
  }
}

TEST(Interventions, ApplyByKindThenAsGiven) {
  const std::vector<Intervention> list = {
      parse_intervention("kappa=2@3"), parse_intervention("kappa-mul=3"),
      parse_intervention("kappa-bias=1"), parse_intervention("kappa-mul=2")};
  EXPECT_EQ(canonical_words(list),
            (std::vector<std::string>{"kappa-bias=1", "kappa-mul=3", "kappa-mul=2", "kappa=2@3"}));
}

RunPlan planned(const Model& model, const std::vector<std::string_view>& words) {
  std::vector<Intervention> list;
  for (const std::string_view word : words) { list.push_back(parse_intervention(word)); }
  return resolve(model, list);
}

TEST(RunPlan, LeavesTheModelAsItIs) {
  const Model model = make_model();
  const RunPlan plan = resolve(model, {});
  EXPECT_TRUE(plan.kappa);
  EXPECT_EQ(plan.passes, 2);
  EXPECT_EQ(plan.kappa_of(2, 1).bias, model.kappa[2].bias);
  EXPECT_EQ(plan.kappa_of(2, 1).scale, model.kappa[2].scale);
  EXPECT_TRUE(plan.kappa_of(1, 0).constant_one());
  EXPECT_EQ(plan.layers[2].capacity_of_call(6), 12);
}

TEST(RunPlan, EditsOfKappaParameters) {
  const Model model = make_model();
  const RunPlan plan = planned(model, {"kappa-bias=0.5", "kappa-scale=1@3:1"});
  EXPECT_EQ(plan.kappa_of(2, 0).bias, std::vector<float>{0.5f});
  EXPECT_EQ(plan.kappa_of(2, 0).expert_stride, 0);
  EXPECT_EQ(plan.kappa_of(2, 0).scale, model.kappa[2].scale);
  const KappaPlan& third = plan.kappa_of(3, 0);
  ASSERT_EQ(third.scale.size(), 24u);
  EXPECT_EQ(third.scale[7], model.kappa[3].scale[7]);
  EXPECT_EQ(third.scale[8], 1);
  EXPECT_EQ(third.scale[15], 1);
  EXPECT_EQ(third.scale[16], model.kappa[3].scale[16]);
  EXPECT_TRUE(plan.layers[3].scale_edited);
  EXPECT_FALSE(plan.layers[2].scale_edited);
}

TEST(RunPlan, ExpertsOfASharedParameterPart) {
  const Model model = make_model(Granularity::per_layer);
  const RunPlan plan = planned(model, {"kappa-bias=2@2:1"});
  const KappaPlan& kappa = plan.kappa_of(2, 0);
  EXPECT_EQ(kappa.bias, (std::vector<float>{model.kappa[2].bias[0], 2, model.kappa[2].bias[0]}));
  EXPECT_EQ(kappa.expert_stride, 1);
  EXPECT_EQ(kappa.gate_stride, 0);
}

TEST(RunPlan, FactorThenValue) {
  const Model model = make_model();
  const RunPlan plan = planned(model, {"kappa=3@2:0", "kappa-mul=2", "kappa-mul=0.25@2:2"});
  EXPECT_EQ(plan.kappa_of(2, 0).factor, (std::vector<float>{3, 2, 0.5f}));
  EXPECT_EQ(plan.kappa_of(2, 0).bias[0], 0);
  EXPECT_EQ(plan.kappa_of(2, 0).scale[7], 0);
  EXPECT_EQ(plan.kappa_of(2, 0).bias[8], model.kappa[2].bias[8]);
  EXPECT_EQ(plan.kappa_of(1, 0).factor, (std::vector<float>{2, 2, 2}));  // its κ is a constant
}

TEST(RunPlan, OffIsOneEverywhere) {
  const Model model = make_model();
  const RunPlan off = planned(model, {"kappa-mul=2", "kappa=off"});
  EXPECT_FALSE(off.kappa);
  for (std::int64_t layer = 0; layer < 4; ++layer) {
    EXPECT_TRUE(off.kappa_of(layer, 0).constant_one());
  }
  const RunPlan part = planned(model, {"kappa=off@3"});
  EXPECT_TRUE(part.kappa);
  EXPECT_TRUE(part.kappa_of(3, 0).constant_one());
}

TEST(RunPlan, RoutersAndPasses) {
  const Model model = make_model();
  const RunPlan plan = planned(model, {"top-k=3@2", "capacity=1.5", "capacity=off@3", "loop=5"});
  EXPECT_EQ(plan.layers[1].slots, 2);
  EXPECT_EQ(plan.layers[2].slots, 3);
  EXPECT_EQ(plan.most_slots(), 3);
  EXPECT_EQ(plan.layers[1].capacity_of_call(20), 20);  // 2·1.5·20/3
  EXPECT_EQ(plan.layers[2].capacity_of_call(20), 30);
  EXPECT_EQ(plan.layers[3].capacity_of_call(20), -1);
  EXPECT_EQ(plan.passes, 5);
}

TEST(RunPlan, RefusesWhatCannotAct) {
  const Model model = make_model(), constant = make_model(Granularity::per_gate, false);
  for (const char* word : {"kappa=2@4", "kappa=2@2:3", "kappa-bias=1@1", "kappa-scale=1@0",
                           "top-k=4", "top-k=2@0", "capacity=off@0", "kappa-mul=2@0"}) {
    EXPECT_EQ(error_of([&] { planned(model, {word}); }).substr(0, 2), "4 ") << word;
  }
  EXPECT_EQ(error_of([&] { planned(constant, {"kappa-scale=1"}); }).substr(0, 2), "4 ");
}

}  // namespace
}  // namespace kappascope
