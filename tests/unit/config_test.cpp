#include "core/model/families/nanochat_config.h"

#include <gtest/gtest.h>

#include "tests/unit/expect_error.h"

namespace kappascope::nanochat {
namespace {

using ::kappascope::testing::error_of;

Json smallest() {
  return {{"sequence_len", 64}, {"vocab_size", 100}, {"n_layer", 6}, {"n_head", 4}, {"n_embd", 64}};
}

std::vector<TensorInfo> named(const std::vector<std::string>& names) {
  std::vector<TensorInfo> tensors;
  for (const std::string& name : names) { tensors.push_back({name, DType::float32, {1}, 0, 4}); }
  return tensors;
}

Config read(const Json& config, const std::vector<std::string>& names = {}) {
  return read_config({{"model_config", config}}, named(names), "meta.json");
}

// The smallest config with one field set.
Json with(const char* field, Json value) {
  Json config = smallest();
  config[field] = std::move(value);
  return config;
}

std::string error_with(const char* field, Json value) {
  return error_of([&] { read(with(field, std::move(value))); });
}

std::vector<std::int64_t> moe_layers(const Config& config) {
  std::vector<std::int64_t> layers;
  for (std::int64_t layer = 0; layer < config.n_layer; ++layer) {
    if (config.is_moe(layer)) { layers.push_back(layer); }
  }
  return layers;
}

std::int64_t capacity(const Config& config, std::int64_t tokens) {
  return capacity_of({config.eval_capacity, config.min_capacity}, config.moe_top_k, tokens,
                     config.n_exp);
}

TEST(Config, DefaultsOfAbsentFields) {
  const Config config = read(smallest());
  EXPECT_EQ(config.n_kv_head, 4);
  EXPECT_EQ(config.n_exp, 64);
  EXPECT_EQ(config.moe_top_k, 2);
  EXPECT_EQ(config.moe_start_layer, 2);
  EXPECT_EQ(config.moe_layer_stride, 1);
  EXPECT_EQ(config.num_moe_layers, -1);
  EXPECT_FALSE(config.use_kappa_swiglu);
  EXPECT_TRUE(config.use_kappa_swiglu_inferred);
  EXPECT_EQ(config.kappa_bias_start_layer, 0);
  EXPECT_EQ(config.kappa_input, KappaInput::router_probs);
  EXPECT_EQ(config.kappa_input_constant, 1.0);
  EXPECT_EQ(config.kappa_input_logit_norm_exponent, 0.5);
  EXPECT_EQ(config.moe_kappa_slope_max_scale, 3.0);
  EXPECT_EQ(config.dense_kappa_slope_max_scale, 2.0);
  EXPECT_FALSE(config.constant_kappa_bias_dense_layers);
  EXPECT_EQ(config.kappa_granularity, Granularity::per_gate);
  EXPECT_FALSE(config.kappa_granularity_given);
  EXPECT_FALSE(config.use_aux_free_load_balancing);
  EXPECT_FALSE(config.bilinear_mlp_moe);
  EXPECT_EQ(config.window_pattern, "L");
  EXPECT_EQ(config.eval_capacity, 3.0);
  EXPECT_EQ(config.min_capacity, 4);
  EXPECT_EQ(config.total_ut_steps, 1);
  EXPECT_EQ(config.gate_stats_threshold, 0.1);
  EXPECT_EQ(config.gate_stats_topk, 16);
  EXPECT_EQ(config.padded_vocab(), 128);
  EXPECT_EQ(config.gate_units(), 256);
}

TEST(Config, NullIsAbsent) {
  EXPECT_EQ(read(with("n_kv_head", nullptr)).n_kv_head, 4);
  EXPECT_EQ(read(with("moe_top_k", nullptr)).moe_top_k, 2);
  EXPECT_TRUE(read(with("use_kappa_swiglu", nullptr)).use_kappa_swiglu_inferred);
  EXPECT_EQ(error_with("n_embd", nullptr),
            "3 meta.json: model_config.n_embd is missing; expected an integer");
  // but the reference takes this one as "no normalisation"
  EXPECT_EQ(read(with("kappa_input_logit_norm_exponent", nullptr)).kappa_input_logit_norm_exponent,
            0);
  // and has no constant to use here
  Json config = with("kappa_input", "constant");
  config["use_kappa_swiglu"] = true;
  EXPECT_EQ(read(config).kappa_input_constant, 1.0);
  config["kappa_input_constant"] = nullptr;
  EXPECT_NE(error_of([&] { read(config); }).find("kappa_input_constant"), std::string::npos);
}

TEST(Config, WrongTypesAreDamage) {
  const std::vector<std::pair<const char*, Json>> cases = {
      {"n_layer", "6"},          {"n_layer", 6.0},
      {"n_layer", true},         {"vocab_size", Json::array()},
      {"n_kv_head", 0.5},        {"use_kappa_swiglu", 1},
      {"kappa_input", 3},        {"window_pattern", false},
      {"eval_capacity", "3"},    {"bilinear_mlp_moe", "false"},
      {"router_type", 1},        {"use_qwen3_dense_mlp", 0},
      {"gate_stats_topk", 16.0}, {"global_kappa_bias_granularity", Json::object()}};
  for (const auto& [field, value] : cases) {
    const std::string error = error_with(field, value);
    EXPECT_EQ(error.substr(0, 2), "3 ") << field << ": " << error;
    EXPECT_NE(error.find(std::string("model_config.") + field), std::string::npos) << error;
  }
  EXPECT_EQ(error_with("n_layer", "6"),
            "3 meta.json: model_config.n_layer has the wrong type; expected an integer, found "
            "\"6\"");
}

TEST(Config, OutOfRangeIsUnsupported) {
  const std::vector<std::pair<const char*, Json>> cases = {
      {"n_layer", 0},
      {"n_layer", 1025},
      {"n_layer", 18446744073709551615ull},
      {"n_exp", 0},
      {"n_exp", 65537},
      {"moe_top_k", 0},
      {"moe_top_k", 65},
      {"total_ut_steps", 0},
      {"total_ut_steps", 65},
      {"n_head", 0},
      {"n_head", 3},     // does not divide n_embd
      {"n_head", 64},    // head width 1
      {"n_kv_head", 3},  // does not divide n_head
      {"n_kv_head", 0},
      {"n_embd", 16},
      {"n_embd", 4611686018427387904},
      {"vocab_size", 0},
      {"vocab_size", (1 << 24) + 1},
      {"sequence_len", (1 << 24) + 1},
      {"moe_kappa_slope_max_scale", 0},
      {"dense_kappa_slope_max_scale", -1.5},
      {"kappa_input_logit_norm_exponent", -0.1},
      {"eval_capacity", 0.0},
      {"min_capacity", -1},
      {"window_pattern", ""},
      {"window_pattern", "SSX"},
      {"moe_start_layer", -1},
      {"moe_layer_stride", 0},
      {"num_moe_layers", -2},
      {"kappa_bias_start_layer", -1},
      {"gate_stats_topk", 0},
      {"gate_stats_threshold", -1},
      {"kappa_input", "softmax"},
      {"global_kappa_bias_granularity", "per_gate"},
      {"router_type", "softmax"},
      {"use_qwen3_moe_mlp", false}};
  for (const auto& [field, value] : cases) {
    const std::string error = error_with(field, value);
    EXPECT_EQ(error.substr(0, 2), "4 ") << field << " " << value << ": " << error;
  }
  EXPECT_EQ(error_with("router_type", "softmax"),
            "4 meta.json: model_config.router_type is not supported; expected \"topk\" or "
            "\"lapsum\", found \"softmax\"");
}

TEST(Config, SoftRoutingHasABudgetAndAThreshold) {
  Json config = with("router_type", "lapsum");
  EXPECT_EQ(error_of([&] { read(config); }).substr(0, 2), "3 ");
  const auto layers = double(moe_layers(read(smallest())).size());
  config["lapsum_budget_total"] = 1.5 * layers;
  config["lapsum_threshold"] = 0.1;
  EXPECT_EQ(read(config).soft->threshold, 0.1);
  EXPECT_EQ(read(config).soft->temperature, 1);
  EXPECT_FALSE(read(config).soft->relative || read(config).soft->expansion);
  for (const double total : {layers - 0.1, layers + 63, -1.0}) {  // of 64 experts
    config["lapsum_budget_total"] = total;
    EXPECT_EQ(error_of([&] { read(config); }).substr(0, 2), "4 ") << total;
  }
  config["lapsum_budget_total"] = layers;
  config["lapsum_threshold_scale"] = 1.8;
  config.erase("lapsum_threshold");  // is not read then
  config["lapsum_expansion"] = 2;
  EXPECT_EQ(read(config).soft->relative, 1.8);
  EXPECT_EQ(read(config).soft->expansion, 2);
}

TEST(Config, LimitsThemselvesAreFine) {
  EXPECT_EQ(read(with("n_layer", 1024)).n_layer, 1024);
  EXPECT_EQ(read(with("moe_top_k", 64)).moe_top_k, 64);
  EXPECT_EQ(read(with("vocab_size", 1 << 24)).padded_vocab(), 1 << 24);
  EXPECT_EQ(read(with("kappa_input_logit_norm_exponent", 0)).kappa_input_logit_norm_exponent, 0);
  EXPECT_EQ(moe_layers(read(with("num_moe_layers", 0))).size(), 0u);
  EXPECT_EQ(moe_layers(read(with("n_exp", 1))).size(), 0u);  // K = 2 does not matter then
  EXPECT_EQ(read(with("router_type", "topk")).n_exp, 64);
}

TEST(Config, AllFaultsTogether) {
  Json config = smallest();
  config.erase("n_embd");
  config["n_layer"] = "six";
  config["kappa_input"] = "softmax";
  EXPECT_EQ(error_of([&] { read(config); }),
            "3 meta.json: model_config.n_layer has the wrong type; expected an integer, found "
            "\"six\"; model_config.n_embd is missing; expected an integer; "
            "model_config.kappa_input is not supported; expected one of router_probs, top_logits, "
            "constant, gate_proj, found \"softmax\"");
}

TEST(Config, DocumentsThatAreNone) {
  const auto error = [](const Json& meta) {
    return error_of([&] { read_config(meta, {}, "meta.json"); }).substr(0, 2);
  };
  EXPECT_EQ(error(Json::array()), "3 ");
  EXPECT_EQ(error(Json::object()), "3 ");
  EXPECT_EQ(error({{"model_config", nullptr}}), "3 ");
  EXPECT_EQ(error({{"model_config", {1, 2}}}), "3 ");
}

TEST(Config, KappaIsInferredFromExactNames) {
  const auto inferred = [](const std::vector<std::string>& names) {
    return read(smallest(), names);
  };
  for (const char* tail : {"", "_expert", "_intermediate", "_residual"}) {
    const Config config = inferred({std::string("transformer.h.12.mlp.experts.kappa_bias") + tail,
                                    "transformer.h.3.mlp.experts.kappa_bias"});
    EXPECT_TRUE(config.use_kappa_swiglu);
    EXPECT_EQ(config.kappa_bias_start_layer, 3);
  }
  EXPECT_TRUE(inferred({"global_kappa_bias"}).use_kappa_swiglu);
  EXPECT_EQ(inferred({"global_kappa_bias"}).kappa_bias_start_layer, 0);
  for (const char* name :
       {"transformer.h.1.mlp.kappa_bias", "transformer.h.1.mlp.experts.kappa_bias_ema",
        "transformer.h.1.mlp.experts.kappa_scale", "transformer.h..mlp.experts.kappa_bias",
        "transformer.h.-1.mlp.experts.kappa_bias", "x.transformer.h.1.mlp.experts.kappa_bias",
        "transformer.h.99999999999999999999.mlp.experts.kappa_bias",
        "transformer.h.1.mlp.experts.kappa_bias_expert_x", "x.global_kappa_bias"}) {
    EXPECT_FALSE(inferred({name}).use_kappa_swiglu) << name;
  }
}

TEST(Config, StartLayerDefaultsToZeroWhenKappaWasGiven) {
  const std::vector<std::string> names = {"transformer.h.3.mlp.experts.kappa_bias"};
  EXPECT_EQ(read(with("use_kappa_swiglu", true), names).kappa_bias_start_layer, 0);
  EXPECT_EQ(read(with("kappa_bias_start_layer", 5), names).kappa_bias_start_layer, 5);
  EXPECT_FALSE(read(with("use_kappa_swiglu", false), names).use_kappa_swiglu);
}

TEST(Config, GatedDenseLayersAreInferred) {
  Json config = with("moe_start_layer", 2);
  const std::string tail = ".mlp.gate_proj.weight";
  const std::vector<std::string> both = {"transformer.h.0" + tail, "transformer.h.1" + tail};
  EXPECT_TRUE(read(config, both).use_qwen3_dense_mlp);
  EXPECT_FALSE(read(config, {both[0]}).use_qwen3_dense_mlp);
  EXPECT_FALSE(read(config).use_qwen3_dense_mlp);
  EXPECT_TRUE(read(with("moe_start_layer", 0)).use_qwen3_dense_mlp);  // no dense layer
  config["use_qwen3_dense_mlp"] = true;
  EXPECT_TRUE(read(config).use_qwen3_dense_mlp);
}

// The rule as SPEC §1.2 states it, counted layer by layer.
TEST(Config, MoeLayersByStartStrideAndNumber) {
  for (std::int64_t start = 0; start < 8; ++start) {
    for (std::int64_t stride = 1; stride < 5; ++stride) {
      for (std::int64_t number = -1; number < 4; ++number) {
        Config config;
        config.n_layer = 12;
        config.moe_start_layer = start;
        config.moe_layer_stride = stride;
        config.num_moe_layers = number;
        std::vector<std::int64_t> expected;
        for (std::int64_t i = start; i < 12; ++i) {
          const bool room = number < 0 || static_cast<std::int64_t>(expected.size()) < number;
          if ((i + 1) % stride == 0 && room) { expected.push_back(i); }
        }
        EXPECT_EQ(moe_layers(config), expected) << start << " " << stride << " " << number;
      }
    }
  }
}

TEST(Config, LayersWithKappa) {
  Json document = with("use_kappa_swiglu", true);
  document["kappa_bias_start_layer"] = 1;
  document["use_qwen3_dense_mlp"] = true;
  Config config = read(document);  // layers 0 and 1 are dense
  EXPECT_FALSE(config.has_kappa(0));
  EXPECT_FALSE(config.has_kappa(1));
  EXPECT_TRUE(config.has_kappa(2));
  document["constant_kappa_bias_dense_layers"] = true;
  config = read(document);
  EXPECT_FALSE(config.has_kappa(0));
  EXPECT_TRUE(config.has_kappa(1));
  document["use_qwen3_dense_mlp"] = false;  // no gate, no κ
  EXPECT_FALSE(read(document).has_kappa(1));
}

TEST(Config, WindowsAreTiledAndTheLastIsLong) {
  const Config config = read(with("window_pattern", "SSL"));
  std::vector<std::int64_t> windows;
  for (std::int64_t layer = 0; layer < 6; ++layer) { windows.push_back(config.window(layer)); }
  EXPECT_EQ(windows, (std::vector<std::int64_t>{32, 32, 64, 32, 32, 64}));
  EXPECT_EQ(read(with("window_pattern", "S")).window(5), 64);
  EXPECT_EQ(read(with("window_pattern", "sl")).window(0), 32);  // in either case
  EXPECT_EQ(read(with("sequence_len", 65)).window(0), 65);
}

TEST(Config, ValueEmbeddingsAlternateDownFromTheLast) {
  Config config;
  config.n_layer = 5;
  EXPECT_TRUE(config.has_value_embedding(4) && config.has_value_embedding(0));
  EXPECT_FALSE(config.has_value_embedding(3));
}

TEST(Config, CapacityRoundsAsTheReference) {
  Config config;
  config.n_exp = 4;
  config.moe_top_k = 2;
  config.eval_capacity = 0.6;
  EXPECT_EQ(capacity(config, 40), 12);
  EXPECT_EQ(capacity(config, 44), 14);  // floor 13.2 is odd
  EXPECT_EQ(capacity(config, 1), 4);    // min_capacity
  config.min_capacity = 5;
  EXPECT_EQ(capacity(config, 1), 5);  // after the rounding to even
  config.eval_capacity = 1e300;
  EXPECT_GT(capacity(config, 1 << 24), 1 << 24);
  // ((3·0.6)·15)/3 is just below 9, 3·15/3·0.6 and 0.6·(3·15)/3 are not
  config.eval_capacity = 0.6;
  config.n_exp = 3;
  config.moe_top_k = 3;
  config.min_capacity = 0;
  EXPECT_EQ(capacity(config, 15), 8);
}

TEST(Config, UnknownFieldsAreListedTrainingOnesAreNot) {
  Json config = with("use_aux_loss", "whatever");
  config["hidden_size"] = 64;
  config["loss_chunk_tokens"] = nullptr;
  config["colour"] = "blue";
  config["another"] = nullptr;
  EXPECT_EQ(read(config).unknown_fields, (std::vector<std::string>{"another", "colour"}));
  EXPECT_EQ(read(config).document, config);
}

}  // namespace
}  // namespace kappascope::nanochat
