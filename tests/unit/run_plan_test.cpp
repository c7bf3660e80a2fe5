// Interventions: their text form, and what a plan makes of them (SPEC §9).
#include "core/engine/run_plan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/trace/kept_taps.h"
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
  EXPECT_EQ(canonical("ablate=3:6,4,5,4:zero"), "ablate=3:4-6");
  EXPECT_EQ(canonical("ablate=2-4:*:mean"), "ablate=2-4:*:mean");
  EXPECT_EQ(canonical("ablate=*:0:reroute"), "ablate=*:0:reroute");
  EXPECT_EQ(canonical("route=3:9,1-2:5,2"), "route=3:1,2,9:5,2");
  EXPECT_EQ(canonical("route=3:*:0-2"), "route=3:*:0-2");
  EXPECT_EQ(canonical("routes=a@1:b=c.npy"), "routes=a@1:b=c.npy");
  EXPECT_EQ(canonical("patch=a:b/trace.npz:3,2:7,5-6"), "patch=a:b/trace.npz:2,3:5-7");
  EXPECT_EQ(canonical("patch=a:*:*"), "patch=a:*:*");
  EXPECT_EQ(canonical("gate-keep=0.50@*:1"), "gate-keep=0.5@*:1");
  EXPECT_EQ(canonical("budget=2.50@3"), "budget=2.5@3");
  EXPECT_EQ(canonical("threshold=0"), "threshold=0");
  EXPECT_EQ(canonical("temperature=1.5"), "temperature=1.5");
}

TEST(Interventions, WrongWordsAreUsageErrors) {
  for (const char* word :
       {"kappa=0",        "kappa=-1",     "kappa=two",      "kappa=",          "kappa=nan",
        "kappa=1e39",     "kappa=1e-46",  "kappa-mul=1e60", "kappa-bias=1e39", "kappa-mul=off",
        "kappa-bias=inf", "capacity=0",   "top-k=0",        "top-k=1.5",       "top-k=2@3:1",
        "capacity=2@3:1", "loop=0",       "loop=65",        "loop=2@1",        "kappa=2@",
        "kappa=2@a",      "kappa=2@3-1",  "kappa=2@1:",     "kappa=2@1,",      "ablat=3:1",
        "kappa",          "ablate=3",     "ablate=3:",      "ablate=3:1:off",  "ablate=3:1@2",
        "ablate=:1",      "route=3:1",    "route=3:1:*",    "route=3:1:2,2",   "route=3:x:2",
        "route=3:1:2:3",  "routes=",      "gate-keep=0",    "gate-keep=1.5",   "gate-keep=off",
        "gate-keep=-1",   "route=3:1:-1", "budget=0",       "threshold=1",     "temperature=0",
        "budget=2@3:1",   "patch=a",      "patch=a:3",      "patch=:3:1",      "patch=3:1",
        "patch=a:3:",     "kappa-bias=x"}) {
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

TEST(RunPlan, EveryTokenHasExpertsInTheGroupsThatMayBeKept) {
  Model model = make_model();
  MoeSpec moe;
  moe.router.experts = 8;
  moe.router.slots = 3;
  moe.router.groups = RouterGroups{4, 2, true};
  for (std::size_t i = 1; i < 4; ++i) { model.architecture.layers[i].feed_forward = moe; }
  EXPECT_EQ(planned(model, {"top-k=4"}).layers[2].slots, 4);
  EXPECT_NE(error_of([&] { planned(model, {"top-k=5"}); }).find("2 of 4 groups of 2 experts"),
            std::string::npos);
  planned(model, {"ablate=2:0:reroute"});  // 1 + 2 are left in the worst two groups
  const std::string error = error_of([&] { planned(model, {"ablate=2:0,2:reroute"}); });
  EXPECT_NE(error.find("chooses 3 experts a token, 2 are left"), std::string::npos) << error;
}

using Experts = std::vector<std::int32_t>;

TEST(RunPlan, AblatedExpertsLaterWordsWin) {
  const Model model = make_model();
  const RunPlan plan = planned(
      model, {"ablate=2:0,1", "ablate=2:1:mean", "ablate=*:2:reroute", "gate-keep=0.5@2:1"});
  EXPECT_EQ(plan.layers[2].modes,
            (std::vector<ExpertMode>{ExpertMode::zero, ExpertMode::mean, ExpertMode::reroute}));
  EXPECT_EQ(plan.layers[3].mode(0), ExpertMode::runs);
  EXPECT_EQ(plan.layers[3].mode(2), ExpertMode::reroute);
  EXPECT_TRUE(plan.layers[0].modes.empty());  // dense
  EXPECT_EQ(plan.layers[2].gate_keep, (std::vector<double>{1, 0.5, 1}));
  EXPECT_TRUE(plan.layers[3].gate_keep.empty());
}

TEST(RunPlan, GivesExpertsToTokens) {
  const Model model = make_model();
  const RunPlan plan = planned(model, {"route=2:1-3:2", "route=2:3:0,1", "route=3:*:1"});
  EXPECT_EQ(plan.given_experts(2, 0, {1, 3, 1, 6}), (Experts{2, -1, 2, -1, 0, 1}));
  EXPECT_EQ(plan.given_experts(2, 1, {3, 2, 3, 6}),
            (Experts{0, 1, -1, -1}));  // a window, every pass
  EXPECT_EQ(plan.given_experts(3, 0, {0, 2, 0, 2}), (Experts{1, -1, 1, -1}));
  EXPECT_TRUE(plan.given_experts(1, 0, {0, 4, 0, 4}).empty());
  const std::vector<std::int32_t> four(4), three(3);
  plan.check_text(four);
  EXPECT_NE(error_of([&] { plan.check_text(three); }).find("token 3: expected 0 to 2"),
            std::string::npos);
}

// Rows of the model's three layers with experts in both passes, 4 tokens, 2 slots.
std::shared_ptr<GivenRoutes> make_routes(std::int64_t rows = 6, std::int64_t tokens = 4,
                                         std::int64_t slots = 2) {
  auto routes = std::make_shared<GivenRoutes>();
  routes->file = "routes.npy";
  routes->rows = rows;
  routes->tokens = tokens;
  routes->slots = slots;
  for (std::int64_t i = 0; i < rows * tokens; ++i) {
    for (std::int64_t k = 0; k < slots; ++k) { routes->expert.push_back(std::int32_t(i + k) % 3); }
  }
  return routes;
}

RunPlan replayed(const Model& model, std::shared_ptr<const GivenRoutes> routes,
                 std::vector<std::string_view> words = {}) {
  std::vector<Intervention> list{parse_intervention("routes=routes.npy")};
  for (const std::string_view word : words) { list.push_back(parse_intervention(word)); }
  return resolve(model, list, std::move(routes));
}

TEST(RunPlan, ReplaysRoutes) {
  const Model model = make_model();
  const RunPlan plan = replayed(model, make_routes(), {"route=2:1:2"});
  EXPECT_EQ(plan.given_experts(1, 0, {0, 4, 0, 4}), (Experts{0, 1, 1, 2, 2, 0, 0, 1}));
  EXPECT_EQ(plan.given_experts(2, 0, {0, 2, 0, 4}),
            (Experts{1, 2, 2, -1}));  // route comes after routes
  EXPECT_EQ(plan.given_experts(1, 0, {0, 3, 0, 5}), (Experts{-1, -1, 0, 1, 1, 2}));  // T − 1 rows
  // As context of a later call the router chooses, but for what is named.
  EXPECT_EQ(plan.given_experts(2, 0, {0, 3, 2, 4}), (Experts{-1, -1, 2, -1, 0, 1}));
  const std::vector<std::int32_t> four(4), five(5), six(6);
  plan.check_text(four);
  plan.check_text(five);
  EXPECT_NE(error_of([&] { plan.check_text(six); }).find("expected 6 or 5"), std::string::npos);
}

TEST(RunPlan, RefusesRoutesThatDoNotFit) {
  const Model model = make_model();
  const auto problem = [&](std::shared_ptr<GivenRoutes> routes,
                           std::vector<std::string_view> words = {}) {
    return error_of([&] { replayed(model, routes, words); });
  };
  const auto expect = [](const std::string& error, const std::string& says) {
    EXPECT_EQ(error.substr(0, 2), "4 ");
    EXPECT_NE(error.find(says), std::string::npos) << error;
  };
  expect(problem(make_routes(3)), "expected 6, found 3");
  expect(problem(make_routes(6, 4, 3)), "expected K = 2, found 3");
  auto routes = make_routes();
  routes->expert[9] = 3;
  expect(problem(routes), "row 1 (layer 2), token 0: slot 1 has expert 3; expected -1 to 2");
  routes->expert[9] = routes->expert[8];
  expect(problem(routes), "expert 1 is there twice");
  expect(problem(make_routes(), {"ablate=2:2:reroute"}), "which ablate takes out of the choice");
  expect(problem(make_routes(), {"top-k=1@2"}), "expected -1: the layer has 1 slot");
  expect(problem(make_routes(6), {"loop=1"}), "expected 3, found 6");
}

// Outputs of the second MoE layer in each pass, as a run of that model recorded them.
std::shared_ptr<GivenOutputs> make_outputs(const Model& model) {
  auto outputs = std::make_shared<GivenOutputs>();
  outputs->file = "a";
  outputs->config_sha256 = model.config_sha256;
  outputs->directory_sha256 = model.directory_sha256;
  outputs->step = model.files.step;
  outputs->tokens = 4;
  outputs->width = model.architecture.width;
  for (std::int32_t pass = 0; pass < model.architecture.recurrence.passes; ++pass) {
    outputs->layer.push_back(2);
    outputs->pass.push_back(pass);
  }
  return outputs;
}

TEST(RunPlan, TakesOutputsOfAnotherRun) {
  const Model model = make_model();
  const auto outputs = make_outputs(model);
  const auto patched = [&](const char* word) {
    return resolve(model, {parse_intervention(word)}, nullptr, {outputs});
  };
  const RunPlan plan = patched("patch=a:*:1-2");
  ASSERT_EQ(plan.layers[2].patches.size(), 1u);
  EXPECT_EQ(plan.layers[2].patches[0].tokens, (std::vector<std::int64_t>{1, 2}));
  for (std::int64_t pass = 0; pass < plan.passes; ++pass) {
    EXPECT_EQ(plan.layers[2].patches[0].row[pass], pass);
  }
  EXPECT_TRUE(plan.layers[1].patches.empty());
  const auto expect = [](const std::string& error, const std::string& says) {
    EXPECT_EQ(error.substr(0, 2), "4 ");
    EXPECT_NE(error.find(says), std::string::npos) << error;
  };
  const std::vector<std::int32_t> four(4), five(5);
  plan.check_text(four);
  expect(error_of([&] { plan.check_text(five); }), "expected 5 tokens, found 4");
  expect(error_of([&] { patched("patch=a:0:0"); }), "layer 0 has no experts");
  expect(error_of([&] { patched("patch=a:99:0"); }), "layer 99; expected 0 to");
  expect(error_of([&] { patched("patch=a:1:0"); }), "were not recorded");
  outputs->layer.push_back(2), outputs->pass.push_back(0);
  expect(error_of([&] { patched("patch=a:2:0"); }), "layer 2, pass 0 twice");
  outputs->width += 1;
  expect(error_of([&] { patched("patch=a:2:0"); }), "width of the outputs");
  outputs->step = 7;
  expect(error_of([&] { patched("patch=a:2:0"); }),
         "another step of training; expected 120, found 7");
  outputs->directory_sha256 = "0";
  expect(error_of([&] { patched("patch=a:2:0"); }), "of another checkpoint");
  outputs->config_sha256 = "0";
  expect(error_of([&] { patched("patch=a:2:0"); }), "of another model");
}

TEST(RunPlan, WhatIsKeptOfATextIsPlannedFor) {
  const Model model = make_model();
  const RunPlan plan = resolve(model, {});
  const auto bytes = [&](std::int64_t layer, std::int64_t tokens) {
    return kept_bytes(plan, std::vector{layer}, tokens);
  };
  EXPECT_EQ(kept_bytes(plan, {}, 10), 10U * 2 * (8 + 2 * 4 * kTopTokens));
  // A dense layer has numbers of its gates, a MoE layer of its router and each chosen expert, too.
  const MoeSpec& moe = *plan.layers[2].spec->moe();
  const auto dense = bytes(0, 11) - bytes(0, 10), sparse = bytes(2, 11) - bytes(2, 10);
  EXPECT_EQ(dense, bytes(0, 1) - bytes(0, 0));
  EXPECT_EQ(sparse - dense, std::uint64_t(plan.passes) * 2 *
                                std::uint64_t(4 * (2 * moe.router.experts + 5) +
                                              plan.layers[2].slots * (5 * 4 + 1 + 7 * 4 + 5 * 4)));
}

TEST(RunPlan, RefusesExpertsThatAreNotThere) {
  const Model model = make_model();
  for (const char* word :
       {"ablate=0:0", "ablate=4:0", "ablate=2:3", "ablate=2:0,1:reroute", "route=2:0:3",
        "route=2:0:0,1,2", "route=0:0:0", "gate-keep=0.5@0", "gate-keep=0.5@2:3"}) {
    EXPECT_EQ(error_of([&] { planned(model, {word}); }).substr(0, 2), "4 ") << word;
  }
  EXPECT_EQ(error_of([&] { planned(model, {"ablate=2:1:reroute", "route=2:0:1"}); }).substr(0, 2),
            "4 ");
}

}  // namespace
}  // namespace kappascope
