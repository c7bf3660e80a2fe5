#include "core/model/model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "tests/tools/synthetic.h"
#include "tests/unit/expect_error.h"
#include "tests/unit/temp_folder.h"

namespace kappascope {
namespace {

using synthetic::ModelSpec;
using testing::error_of;

// A model of that spec, written and opened. The folder must outlive it.
struct Opened {
  explicit Opened(const ModelSpec& spec, bool kappa_values = true) {
    write_model(folder.path() / "tiny", spec);
    model = open_model(folder.path() / "tiny", {.kappa_values = kappa_values});
  }
  const KappaParameters& kappa(std::size_t layer) const { return model.kappa[layer]; }
  testing::TempFolder folder;
  Model model;
};

// The message of opening a faulty model, without the folder.
std::string fault_of_model(const ModelSpec& spec) {
  testing::TempFolder folder;
  write_model(folder.path(), spec);
  std::string text = error_of([&] { open_model(folder.path()); });
  const std::string prefix = folder.path().string() + "/";
  const std::size_t place = text.find(prefix);
  return place == std::string::npos ? text : text.erase(place, prefix.size());
}

std::vector<float> drawn(const ModelSpec& spec, const std::string& name) {
  for (const synthetic::ModelTensor& tensor : synthetic::model_tensors(spec)) {
    if (tensor.tensor.name != name) { continue; }
    std::int64_t count = 1;
    for (const std::int64_t extent : tensor.tensor.shape) { count *= extent; }
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i) {
      values.push_back(synthetic::DrawnValues(tensor, spec.seed)[static_cast<std::uint64_t>(i)]);
    }
    return values;
  }
  ADD_FAILURE() << "no tensor " << name;
  return {};
}

TEST(Model, RolesAndPlansOfTheDefault) {
  const Opened opened({});
  const Model& model = opened.model;
  EXPECT_EQ(model.name(), "tiny");
  EXPECT_EQ(model.files.step, 100);
  const std::vector<LayerSpec>& layers = model.architecture.layers;
  ASSERT_EQ(layers.size(), 3u);
  EXPECT_FALSE(layers[0].moe());
  EXPECT_TRUE(layers[1].moe() && layers[2].moe());
  EXPECT_TRUE(layers[0].attention.value_embedding && layers[2].attention.value_embedding);
  EXPECT_FALSE(layers[1].attention.value_embedding);
  EXPECT_FALSE(layers[0].kappa());
  EXPECT_EQ(layers[0].attention.window, 32);
  EXPECT_EQ(layers[2].attention.window, 64);
  EXPECT_EQ(model.weights.all().front().name, "transformer.wte.weight");
  EXPECT_EQ(model.weights.all().back().name, "lm_head.weight");
  EXPECT_TRUE(model.unknown_tensors.empty());
  EXPECT_EQ(model.config_sha256.size(), 64u);
  EXPECT_EQ(model.directory_sha256.size(), 64u);
  EXPECT_EQ(model.weights.required(Role::expert_gate, 1).shape,
            (std::vector<std::int64_t>{4, 32, 128}));
  EXPECT_EQ(model.weights.find(Role::expert_up, 0), nullptr);
  EXPECT_EQ(error_of([&] { model.weights.required(Role::expert_up, 0); }).substr(0, 2), "1 ");
}

TEST(Model, KappaOfEveryGranularity) {
  struct Case {
    Granularity granularity;
    std::string head;  // of the parameters of layer 1
    std::int64_t expert_stride, gate_stride;
  };
  const std::vector<Case> cases = {{Granularity::per_gate, "transformer.h.1.mlp.experts.", 128, 1},
                                   {Granularity::per_expert, "transformer.h.1.mlp.experts.", 1, 0},
                                   {Granularity::per_layer, "transformer.h.1.mlp.experts.", 0, 0},
                                   {Granularity::global, "global_", 0, 0}};
  for (const Case& expected : cases) {
    ModelSpec spec;
    spec.granularity = expected.granularity;
    spec.dense_kappa = true;
    const Opened opened(spec);
    const KappaParameters& kappa = opened.kappa(1);
    EXPECT_EQ(kappa.bias, drawn(spec, expected.head + "kappa_bias"));
    EXPECT_EQ(kappa.scale, drawn(spec, expected.head + "kappa_scale"));
    EXPECT_EQ(kappa.expert_stride, expected.expert_stride);
    EXPECT_EQ(kappa.gate_stride, expected.gate_stride);
    EXPECT_EQ(opened.model.architecture.layers[1].kappa()->bound, 4.0);

    const bool per_gate = expected.granularity == Granularity::per_gate;
    const KappaParameters& dense = opened.kappa(0);
    EXPECT_EQ(dense.bias.size(), per_gate ? 128u : 1u);
    EXPECT_EQ(dense.gate_stride, per_gate ? 1 : 0);
    EXPECT_TRUE(dense.scale.empty());
    EXPECT_EQ(opened.model.architecture.layers[0].kappa()->bound, 2.0);
  }
}

TEST(Model, ConstantInputHasNoScale) {
  ModelSpec spec;
  spec.kappa_input = KappaInput::constant;
  const Opened opened(spec);
  EXPECT_FALSE(opened.kappa(1).bias.empty());
  EXPECT_TRUE(opened.kappa(1).scale.empty());
}

TEST(Model, LayersBelowTheStartHaveNoKappa) {
  ModelSpec spec;
  spec.kappa_start = 2;
  const Opened opened(spec);
  EXPECT_FALSE(opened.model.architecture.layers[1].kappa());
  EXPECT_TRUE(opened.kappa(1).empty());
  EXPECT_TRUE(opened.model.architecture.layers[2].kappa());
  EXPECT_EQ(opened.model.findings.front(),
            "per-gate κ as the meta says, from layer 2 on; there kappa_bias [4, 128], kappa_scale "
            "[4, 128]");
}

TEST(Model, OlderOuterProductIsMultipliedOut) {
  ModelSpec spec;
  spec.kappa_product = true;
  spec.config = {{"use_kappa_swiglu", nullptr}, {"kappa_bias_start_layer", nullptr}};
  const Opened opened(spec);
  EXPECT_EQ(opened.model.architecture.kappa_start(), 1);
  const std::string head = "transformer.h.2.mlp.experts.kappa_bias_";
  const std::vector<float> expert = drawn(spec, head + "expert");
  const std::vector<float> intermediate = drawn(spec, head + "intermediate");
  const std::vector<float> residual = drawn(spec, head + "residual");
  const KappaParameters& kappa = opened.kappa(2);
  ASSERT_EQ(kappa.bias.size(), 512u);
  for (std::size_t i = 0; i < kappa.bias.size(); ++i) {
    const float product = expert[i / 128] * intermediate[i % 128];
    EXPECT_FLOAT_EQ(kappa.bias[i], product + residual[i]);
  }
  EXPECT_EQ(kappa.expert_stride, 128);
  EXPECT_EQ(kappa.origin,
            "kappa_bias_expert [4] × kappa_bias_intermediate [128] + kappa_bias_residual [4, 128], "
            "kappa_scale [4, 128]");
}

TEST(Model, WithoutValuesNoTensorDataIsRead) {
  ModelSpec spec;
  spec.sparse = true;
  spec.hidden = 1024;
  spec.heads = 8;
  spec.experts = 16;
  spec.vocab = 32000;
  spec.layers = 12;
  const Opened opened(spec, false);
  EXPECT_EQ(opened.kappa(1).origin, "kappa_bias [16, 4096], kappa_scale [16, 4096]");
  EXPECT_TRUE(opened.kappa(1).empty());
  const InputFile& file = opened.model.tensors->file();
  EXPECT_GT(file.size(), std::uint64_t{5} << 30);
  EXPECT_LT(file.bytes_read(), 200000u);
}

TEST(Model, OptionalTensorsMayBeAbsent) {
  ModelSpec spec;
  spec.drop = {"resid_lambdas", "x0_lambdas", "transformer.h.1.mlp.router.expert_bias",
               "transformer.h.1.attn.ve_gate.weight"};
  const Opened opened(spec);
  EXPECT_EQ(opened.model.weights.tensor(Role::resid_lambdas), nullptr);
  EXPECT_EQ(opened.model.weights.tensor(Role::selection_bias, 1), nullptr);
  EXPECT_NE(opened.model.weights.tensor(Role::selection_bias, 2), nullptr);
}

TEST(Model, LambdasOfSeveralSteps) {
  ModelSpec spec;
  spec.lambda_steps = true;
  spec.compiled = true;
  spec.dtype = DType::bfloat16;
  const Opened opened(spec);
  EXPECT_EQ(opened.model.weights.required(Role::resid_lambdas).shape,
            (std::vector<std::int64_t>{2, 3}));
}

TEST(Model, NonFiniteKappaStillOpens) {
  ModelSpec spec;
  spec.not_a_number = {"transformer.h.1.mlp.experts.kappa_bias"};
  const Opened opened(spec);
  EXPECT_TRUE(std::isnan(opened.kappa(1).bias[0]));
  EXPECT_FALSE(std::isnan(opened.kappa(1).bias[1]));
}

TEST(Model, AllMissesTogether) {
  ModelSpec spec;
  spec.drop = {"lm_head.weight", "transformer.h.1.attn.c_q.weight"};
  spec.reshape = {{"transformer.h.0.mlp.c_fc.weight", {32, 128}}, {"resid_lambdas", {4}}};
  EXPECT_EQ(fault_of_model(spec),
            "3 model_000100.pt: tensor resid_lambdas: wrong shape; expected [3], found [4]; "
            "tensor transformer.h.0.mlp.c_fc.weight: wrong shape; expected [128, 32], found [32, "
            "128]; tensor transformer.h.1.attn.c_q.weight: missing; expected [32, 32]; tensor "
            "lm_head.weight: missing; expected [256, 32]");
}

TEST(Model, QuantizationThatIsNoObjectIsRefused) {
  const std::filesystem::path sound =
      std::filesystem::path(KAPPASCOPE_SOURCE_DIR) / "tests/golden/hf/deepseek-v3";
  const testing::TempFolder folder;
  std::filesystem::copy_file(sound / "model.safetensors", folder / "model.safetensors");
  Json config = Json::parse(read_text_file(sound / "config.json", 1 << 20));
  config["quantization_config"] = "fp8";
  folder.write("config.json", config.dump());
  EXPECT_EQ(testing::error_of([&] { open_model(folder.path()); }),
            "4 " + (folder / "config.json").string() +
                ": quantization_config is not supported in deepseek_v3; expected an object or "
                "null, found \"fp8\"");
}

TEST(Model, IntegersAreNoWeights) {
  ModelSpec spec;
  spec.dtype = DType::int32;
  spec.sparse = true;
  const std::string text = fault_of_model(spec);
  EXPECT_NE(text.find("wrong type; expected float32, bfloat16 or float16, found int32"),
            std::string::npos)
      << text;
}

TEST(Model, MissingKappaTensorsAreErrors) {
  ModelSpec spec;
  spec.drop = {"transformer.h.1.mlp.experts.kappa_bias", "transformer.h.2.mlp.experts.kappa_scale"};
  EXPECT_EQ(fault_of_model(spec),
            "3 model_000100.pt: tensor transformer.h.1.mlp.experts.kappa_bias: missing; expected "
            "[4, 128] (per-gate κ, as the meta says); tensor "
            "transformer.h.2.mlp.experts.kappa_scale: missing; expected [4, 128] (per-gate κ, as "
            "the meta says)");
}

TEST(Model, GranularityMismatchNamesBoth) {
  ModelSpec spec;
  spec.layers = 2;
  spec.granularity = Granularity::per_expert;
  spec.config = {{"global_kappa_bias_granularity", nullptr}};
  EXPECT_EQ(
      fault_of_model(spec),
      "3 model_000100.pt: tensor transformer.h.1.mlp.experts.kappa_bias: wrong shape; "
      "expected [4, 128] or [slots, 4, 128] (per-gate κ, the default), found [4] "
      "(per-expert); tensor "
      "transformer.h.1.mlp.experts.kappa_scale: wrong shape; expected [4, 128] or [slots, 4, 128] "
      "(per-gate κ, "
      "the default), found [4] (per-expert)");
  spec.config = {{"global_kappa_bias_granularity", "global"}};
  EXPECT_NE(
      fault_of_model(spec).find("tensor global_kappa_bias: missing; expected [1] (global κ, as the "
                                "meta says), found transformer.h.1.mlp.experts.kappa_bias [4] "
                                "(per-expert)"),
      std::string::npos)
      << fault_of_model(spec);
  spec.granularity = Granularity::global;
  spec.config = {{"global_kappa_bias_granularity", "per-layer"}};
  EXPECT_NE(fault_of_model(spec).find("found global_kappa_bias (global)"), std::string::npos)
      << fault_of_model(spec);
}

TEST(Model, TrainingLeftoversAreNotUnknown) {
  ModelSpec spec;
  spec.kappa = false;  // its κ tensors are then nobody's
  spec.config = {{"use_kappa_swiglu", false}};
  const Opened off(spec);
  EXPECT_TRUE(off.model.unknown_tensors.empty());
  EXPECT_EQ(off.model.findings.front(), "no κ: use_kappa_swiglu is false");
  spec.kappa = true;
  const Opened unused(spec);
  EXPECT_EQ(unused.model.unknown_tensors.size(), 4u);
}

TEST(Model, OpensEveryOracleCheckpoint) {
  const char* oracle = std::getenv("KAPPASCOPE_ORACLE");
  if (oracle == nullptr) { GTEST_SKIP() << "KAPPASCOPE_ORACLE is not set"; }
  int opened = 0;
  for (const char* group : {"kappa", "demo", "kappa-2026-11", "softmoe", "softmoe-2026-11"}) {
    for (const auto& entry :
         std::filesystem::directory_iterator(std::filesystem::path(oracle) / group)) {
      if (!entry.is_directory()) { continue; }
      const Model model = open_model(entry.path());
      EXPECT_TRUE(model.unknown_tensors.empty()) << entry.path();
      EXPECT_TRUE(model.unknown_fields.empty()) << entry.path();
      ++opened;
    }
  }
  EXPECT_EQ(opened, 34);
}

}  // namespace
}  // namespace kappascope
