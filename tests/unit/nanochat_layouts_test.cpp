// Checkpoints of every date: what is recognised, by which mark, and what is refused (SPEC-layouts).
#include <gtest/gtest.h>

#include "core/engine/memory_plan.h"
#include "core/engine/run_plan.h"
#include "core/model/model.h"
#include "tests/tools/synthetic.h"
#include "tests/unit/expect_error.h"
#include "tests/unit/temp_folder.h"

namespace kappascope {
namespace {

using synthetic::ModelSpec;
using testing::error_of;

struct OpenedLayout {
  explicit OpenedLayout(const ModelSpec& spec, const KappaChoices& choices = {},
                        const std::string& place = "d3") {
    write_model(folder.path() / place, spec);
    model = open_model(folder.path() / place, {.kappa = choices});
  }
  bool warns_of(std::string_view words) const {
    for (const std::string& warning : model.warnings) {
      if (warning.find(words) != std::string::npos) { return true; }
    }
    return false;
  }
  testing::TempFolder folder;
  Model model;
};

std::string fault(const ModelSpec& spec, const KappaChoices& choices = {}) {
  testing::TempFolder folder;
  write_model(folder.path(), spec);
  return error_of([&] { open_model(folder.path(), {.kappa = choices}); });
}

void expect_fault(const ModelSpec& spec, std::string_view code, std::string_view words) {
  const std::string text = fault(spec);
  EXPECT_EQ(text.substr(0, 2), std::string(code) + " ") << text;
  EXPECT_NE(text.find(words), std::string::npos) << text;
}

const std::string kExperts1 = "transformer.h.1.mlp.experts.",
                  kExperts2 = "transformer.h.2.mlp.experts.";

// κ parameters of both MoE layers with a slot axis.
ModelSpec with_slots(std::int64_t slots) {
  ModelSpec spec;
  for (const std::string& head : {kExperts1, kExperts2}) {
    spec.reshape[head + "kappa_bias"] = spec.reshape[head + "kappa_scale"] = {slots, 4, 128};
  }
  return spec;
}

TEST(Layouts, SlotAxisIsRecognisedByRank) {
  const OpenedLayout one(with_slots(1));
  EXPECT_EQ(one.model.architecture.kappa_slots.count, 1);
  EXPECT_TRUE(one.model.warnings.empty());
  ModelSpec passes = with_slots(3);
  passes.passes = 3;
  const OpenedLayout three(passes);
  const RunPlan plan = resolve(three.model, {});
  const std::vector<float>& stored = three.model.kappa[1].bias;
  ASSERT_EQ(stored.size(), 3u * 4 * 128);
  for (std::int64_t pass = 0; pass < 3; ++pass) {
    EXPECT_EQ(plan.kappa_of(1, pass).bias[5], stored[pass * 512 + 5]);
  }
  passes.passes = 5;
  const OpenedLayout fewer(passes);
  EXPECT_TRUE(fewer.warns_of("3 slots of κ for 5 passes"));
  EXPECT_EQ(resolve(fewer.model, {}).kappa_of(1, 4).bias[5], fewer.model.kappa[1].bias[1024 + 5]);
}

TEST(Layouts, BaseAndSftSlots) {
  ModelSpec spec = with_slots(2);
  spec.config = {{"separate_base_sft_kappa", true}};
  const auto bias = [](const OpenedLayout& opened) {
    return resolve(opened.model, {}).kappa_of(1, 0).bias[7];
  };
  const OpenedLayout base(spec);
  const float first = base.model.kappa[1].bias[7], second = base.model.kappa[1].bias[512 + 7];
  EXPECT_EQ(bias(base), first);
  EXPECT_TRUE(base.model.warnings.empty());
  const OpenedLayout sft(spec, {.side = KappaSide::sft});
  EXPECT_EQ(bias(sft), first + second);
  EXPECT_TRUE(sft.warns_of("--sft-kappa independent"));
  EXPECT_EQ(bias(OpenedLayout(spec, {.side = KappaSide::sft, .sft = SftKappa::independent})),
            second);
  EXPECT_EQ(bias(OpenedLayout(spec, {}, "chatsft_checkpoints/d3")), first + second);
  EXPECT_EQ(bias(OpenedLayout(spec, {}, "chatrl_checkpoints/a/b/d3")), first + second);
  EXPECT_EQ(bias(OpenedLayout(spec, {}, "chatsft_checkpoints/base_checkpoints/d3")), first);
  EXPECT_EQ(bias(OpenedLayout(spec, {.side = KappaSide::base}, "chatsft_checkpoints/d3")), first);
}

TEST(Layouts, SideOfTheRealFolderBehindALink) {
  ModelSpec spec = with_slots(2);
  spec.config = {{"separate_base_sft_kappa", true}};
  const testing::TempFolder folder;
  const std::filesystem::path real = folder.path() / "chatsft_checkpoints" / "d3";
  write_model(real, spec);
  const auto linked = [&](const std::filesystem::path& from) {
    std::filesystem::create_directories(from.parent_path());
    std::filesystem::create_directory_symlink(real, from);
    return open_model(from);
  };
  EXPECT_EQ(linked(folder.path() / "here").architecture.kappa_slots.side, KappaSide::sft);
  const Model both = linked(folder.path() / "base_checkpoints" / "d3");
  EXPECT_EQ(both.architecture.kappa_slots.side, KappaSide::sft);
  EXPECT_EQ(both.warnings.size(), 2u);  // of the link, and of the SFT slot
}

TEST(Layouts, SidesAreForCheckpointsThatHaveThem) {
  EXPECT_EQ(fault(with_slots(2), {.side = KappaSide::sft}).substr(0, 2), "2 ");
  ModelSpec three = with_slots(3);
  three.config = {{"separate_base_sft_kappa", true}};
  expect_fault(three, "3", "expected 1 or 2 with separate_base_sft_kappa, found 3");
}

TEST(Layouts, RenamedFieldsCountAndMustAgree) {
  ModelSpec spec;
  spec.granularity = Granularity::per_expert;
  spec.config = {{"global_kappa_bias_granularity", nullptr},
                 {"global_kappa_param_granularity", "per-expert"},
                 {"kappa_bias_start_layer", nullptr},
                 {"kappa_start_layer", 2}};
  const OpenedLayout opened(spec);
  EXPECT_FALSE(opened.model.architecture.layers[1].kappa());
  EXPECT_EQ(opened.model.architecture.layers[2].kappa()->granularity, Granularity::per_expert);
  spec.config["kappa_bias_start_layer"] = 2;
  EXPECT_TRUE(OpenedLayout(spec).model.architecture.layers[2].kappa());
  spec.config["kappa_bias_start_layer"] = 1;
  expect_fault(spec, "3", "are two names of one field");
}

ModelSpec with_kappa_router(std::int64_t rows) {
  ModelSpec spec;
  spec.config = {{"independent_kappa_router", true}};
  for (const int layer : {1, 2}) {
    spec.extra[join_words("transformer.h.", layer, ".mlp.kappa_router.weight")] = {rows, 32};
    spec.drop.push_back(join_words("transformer.h.", layer, ".mlp.experts.kappa_scale"));
  }
  return spec;
}

TEST(Layouts, KappaRouter) {
  const OpenedLayout opened(with_kappa_router(4));
  EXPECT_TRUE(opened.model.architecture.layers[1].kappa()->router);
  EXPECT_TRUE(opened.model.unknown_tensors.empty());
  const RunPlan plan = resolve(opened.model, {});
  EXPECT_EQ(plan.kappa_of(1, 0).scale, std::vector<float>{1});

  ModelSpec unasked = with_kappa_router(4);
  unasked.drop.clear();
  unasked.config = Json::object();
  expect_fault(unasked, "3", "as independent_kappa_router is not true");
  ModelSpec missing = with_kappa_router(4);
  missing.extra.erase("transformer.h.2.mlp.kappa_router.weight");
  expect_fault(missing, "3", "tensor transformer.h.2.mlp.kappa_router.weight: missing");
  expect_fault(with_kappa_router(8), "3", "wrong shape; expected [4, 32]");
  ModelSpec bias = with_kappa_router(4);
  bias.extra["transformer.h.1.mlp.kappa_router.bias"] = {4};
  expect_fault(bias, "4", "unknown combination");
  ModelSpec constant = with_kappa_router(4);
  constant.config["kappa_input"] = "constant";
  expect_fault(constant, "4", "independent_kappa_router");
}

TEST(Layouts, NoStaticBias) {
  ModelSpec spec;
  spec.dense_kappa = true;
  spec.config = {{"disable_kappa_bias", true}};
  const OpenedLayout opened(spec);
  EXPECT_FALSE(opened.model.architecture.layers[0].kappa());
  const RunPlan plan = resolve(opened.model, {});
  EXPECT_TRUE(plan.kappa_of(1, 0).bias.empty());
  EXPECT_FALSE(plan.kappa_of(1, 0).scale.empty());
  spec.kappa_input = KappaInput::constant;
  EXPECT_TRUE(resolve(OpenedLayout(spec).model, {}).kappa_of(1, 0).constant_one());
}

TEST(Layouts, KappaFromTheGate) {
  ModelSpec spec;
  spec.kappa_input = KappaInput::gate_proj;
  const OpenedLayout opened(spec);
  const RunPlan plan = resolve(opened.model, {});
  EXPECT_TRUE(plan.kappa_of(2, 0).view().from_gate);
  EXPECT_FALSE(plan.kappa_of(2, 0).bias.empty());
}

TEST(Layouts, RecurrenceWithASource) {
  ModelSpec spec;
  spec.passes = 2;
  spec.config = {{"ut_source", -1}, {"ut_destination", 1}};
  expect_fault(spec, "3", "tensor ut_source_lambdas: missing; expected [2]");
  spec.extra["ut_source_lambdas"] = {2};
  const OpenedLayout opened(spec);
  EXPECT_TRUE(opened.model.architecture.recurrence.anchored);
  EXPECT_EQ(opened.model.architecture.recurrence.source, 2);
  EXPECT_EQ(opened.model.architecture.recurrence.destination, 1);
  EXPECT_TRUE(opened.model.warnings.empty());
  spec.extra["ut_source_lambdas"] = {2, 3};
  EXPECT_TRUE(OpenedLayout(spec).warns_of("column 1 of [2, 3]"));
  spec.extra["ut_source_lambdas"] = {1};  // one for both passes
  EXPECT_TRUE(OpenedLayout(spec).model.warnings.empty());
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{}, {0}, {2, 2}, {0, 3}, {2, 3, 1}}) {
    spec.extra["ut_source_lambdas"] = shape;
    expect_fault(spec, "3", "tensor ut_source_lambdas: ");
  }
  spec.config["ut_source"] = 3;
  expect_fault(spec, "4", "model_config.ut_source is not supported; expected a value from -3 to 2");
}

TEST(Layouts, LambdasByPassWithoutASourceWarn) {
  ModelSpec spec;
  spec.lambda_steps = true;
  spec.passes = 2;
  EXPECT_TRUE(OpenedLayout(spec).warns_of("averaged over the passes"));
  spec.passes = 1;
  EXPECT_TRUE(OpenedLayout(spec).model.warnings.empty());
}

// Tables that are looked up stay as they are stored, experts in bfloat16 too; all else is widened.
TEST(Layouts, MemoryIsThatOfWeightsAsTheyAreMultiplied) {
  ModelSpec spec;
  spec.dtype = DType::bfloat16;
  const OpenedLayout opened(spec);
  std::uint64_t expected = 0;
  bool table = false;
  for (const Stored& weight : opened.model.weights.all()) {
    if (weight.tensor == nullptr) { continue; }
    const std::string& name = weight.tensor->name;
    const bool value_table = name.starts_with("value_embeds.");
    const bool expert = name.find(".experts.") != name.npos && name.find("kappa") == name.npos;
    const bool as_stored = value_table || expert || name == "transformer.wte.weight";
    expected += std::uint64_t(weight.tensor->elements()) * (as_stored ? 2 : 4);
    table |= value_table;
  }
  EXPECT_TRUE(table);
  EXPECT_EQ(plan_memory(opened.model, {}).weights, expected);
}

// Two blocks of logits are in memory, which of a large vocabulary are the most of a call.
TEST(Layouts, MemoryOfACallGrowsWithTheVocabulary) {
  ModelSpec spec;
  spec.sparse = true;
  spec.vocab = 20000;
  const OpenedLayout small(spec);
  spec.vocab = 30000;
  const OpenedLayout large(spec);
  const auto work = [](const OpenedLayout& opened) {
    return plan_memory(opened.model, {.tokens = 50}).work;
  };
  EXPECT_EQ(work(large) - work(small), 2u * 50 * 10000 * 4);
}

TEST(Layouts, FormulaByTheMarksOfItsDate) {
  EXPECT_EQ(OpenedLayout({}).model.architecture.kappa_formula, KappaFormula::v2026_06);
  const auto dated = [](bool old_names, Json more) {
    ModelSpec older;
    older.old_names = old_names;
    older.config = std::move(more);
    older.config["kappa_input_logit_norm_exponent"] = nullptr;
    const OpenedLayout opened(older);
    EXPECT_TRUE(opened.warns_of("kappa_input_logit_norm_exponent is absent"));
    return opened.model.architecture.kappa_formula;
  };
  EXPECT_EQ(dated(false, {{"kappa_input_constant", 0.5}}), KappaFormula::v2026_05);
  EXPECT_EQ(dated(false, {{"kappa_input_constant", nullptr}}), KappaFormula::v2026_05);
  EXPECT_EQ(dated(false, {{"kappa_input_constant", 1.0}}), KappaFormula::v2026_05_31);
  EXPECT_EQ(dated(false, {{"top_logit_norm_exponent", 0.5}, {"kappa_input_constant", 0.5}}),
            KappaFormula::v2026_05_31);
  EXPECT_EQ(dated(true, Json::object()), KappaFormula::v2026_05_20);
  EXPECT_EQ(dated(true, {{"gate_proj_bias_ema_rms_reg", false}}), KappaFormula::v2026_05);
  ModelSpec first;  // U was a number of the code, 4
  first.old_names = true;
  first.config = {{"kappa_input_logit_norm_exponent", nullptr},
                  {"moe_kappa_slope_max_scale", nullptr}};
  expect_fault(first, "4", "moe_gate_slope_max_scale is missing");
}

// What the code of those days computed otherwise, where a file cannot tell.
TEST(Layouts, FirstDaysOfTheFirstFormula) {
  constexpr const char *kRaw = "κ of the raw logit", *kEarlyLayers = "α = 1, b = 0 there";
  ModelSpec spec;
  spec.old_names = spec.sparse = true;
  spec.config = {{"kappa_input_logit_norm_exponent", nullptr}, {"kappa_input", "top_logits"}};
  const OpenedLayout logits(spec);
  EXPECT_TRUE(logits.warns_of(kRaw));
  EXPECT_FALSE(logits.warns_of(kEarlyLayers));
  spec.config["kappa_input"] = "router_probs";
  spec.config["kappa_bias_start_layer"] = 2;  // layer 1 is MoE
  const OpenedLayout later(spec);
  EXPECT_FALSE(later.warns_of(kRaw));
  EXPECT_TRUE(later.warns_of(kEarlyLayers));
  spec.config["kappa_input"] = "constant";
  EXPECT_FALSE(OpenedLayout(spec).warns_of(kEarlyLayers));
}

TEST(Layouts, FormulasMultiplyWhatIsStored) {
  ModelSpec spec;
  spec.dense_kappa = true;
  const OpenedLayout today(spec), may(spec, {.formula = KappaFormula::v2026_05}),
      first(spec, {.formula = KappaFormula::v2026_05_20}),
      end(spec, {.formula = KappaFormula::v2026_05_31});
  const auto bias = [](const OpenedLayout& opened, std::int64_t layer) {
    return resolve(opened.model, {}).kappa_of(layer, 0).bias[3];
  };
  EXPECT_EQ(bias(may, 1), 2 * bias(today, 1));
  EXPECT_EQ(bias(may, 0), 2 * bias(today, 0));
  EXPECT_EQ(bias(first, 1), -2 * bias(today, 1));
  EXPECT_EQ(bias(end, 1), 2 * bias(today, 1));
  EXPECT_EQ(bias(end, 0), bias(today, 0));
  EXPECT_EQ(today.model.architecture.layers[1].moe()->score->factor, 6);
  EXPECT_EQ(may.model.architecture.layers[1].moe()->score->factor, 0.15);
  EXPECT_EQ(end.model.architecture.layers[1].moe()->score->factor, 0.3);
  EXPECT_TRUE(may.model.warnings.empty());  // as asked for
}

TEST(Layouts, OldFormulasWithLaterLayoutsAreRefused) {
  ModelSpec spec;
  spec.config = {{"disable_kappa_bias", true}};
  EXPECT_NE(fault(spec, {.formula = KappaFormula::v2026_05}).find("unknown combination"),
            std::string::npos);
  spec.config["kappa_input_logit_norm_exponent"] = nullptr;
  expect_fault(spec, "4", "expected --kappa-formula 2026-06");
  EXPECT_TRUE(
      OpenedLayout(spec, {.formula = KappaFormula::v2026_06}).model.architecture.has_kappa());
}

TEST(Layouts, OldNamesAreReadAsNewOnes) {
  ModelSpec spec;
  spec.old_names = true;
  const OpenedLayout old(spec);
  EXPECT_EQ(old.model.weights.required(Role::kappa_bias, 1).name, kExperts1 + "gate_proj_bias");
  EXPECT_EQ(old.model.kappa[1].scale.size(), 512u);
  EXPECT_TRUE(old.model.unknown_tensors.empty());
  spec.extra[kExperts1 + "kappa_biases"] = {1};  // of no name of ours
  EXPECT_EQ(OpenedLayout(spec).model.kappa[1].bias.size(), 512u);
}

TEST(Layouts, RefusedByName) {
  for (const char* field :
       {"kappa_bias_from_scale", "use_kappa_router_softmax", "router_wg_delta"}) {
    ModelSpec spec;
    spec.config = {{field, true}};
    expect_fault(spec, "4", std::string("model_config.") + field + " is not supported");
    spec.config = {{field, false}};
    EXPECT_TRUE(OpenedLayout(spec).model.unknown_fields.empty());
  }
  ModelSpec norms;
  norms.config = {{"kappa_input_logit_norm_exponent", nullptr}, {"normalize_top_logits", true}};
  expect_fault(norms, "4", "normalize_top_logits");
}

TEST(Layouts, SftOnlyKappaIsWarnedOfOnTheBaseSide) {
  ModelSpec spec = with_slots(2);
  spec.config = {{"separate_base_sft_kappa", true}};
  spec.user_config = {{"use_kappa_swiglu_sft_only", true}};
  EXPECT_TRUE(OpenedLayout(spec).warns_of("--kappa off"));
  ModelSpec plain;  // without slots for both
  plain.user_config = spec.user_config;
  EXPECT_TRUE(OpenedLayout(plain, {}, "base_checkpoints/d3").warns_of("--kappa off"));
  EXPECT_FALSE(OpenedLayout(plain, {}, "chatsft_checkpoints/d3").warns_of("--kappa off"));
}

TEST(Layouts, OneSetOfKappaHasOneReading) {
  ModelSpec spec = with_slots(1);
  spec.config = {{"separate_base_sft_kappa", true}};
  EXPECT_FALSE(OpenedLayout(spec, {}, "chatsft_checkpoints/d3").warns_of("the other reading"));
  spec = with_slots(2);
  spec.config = {{"separate_base_sft_kappa", true}};
  EXPECT_TRUE(OpenedLayout(spec, {}, "chatsft_checkpoints/d3").warns_of("the other reading"));
}

}  // namespace
}  // namespace kappascope
