// What configurations of other families mean where a field is absent: the defaults of transformers,
// as the shapes that are missed say them.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/model/model.h"
#include "tests/unit/expect_error.h"
#include "tests/unit/temp_folder.h"
#include "tests/unit/tiny_safetensors.h"

namespace kappascope {
namespace {

// What opening says of a model without weights.
std::string missed(const std::string& type, int layers, const std::string& more) {
  const testing::TempFolder folder;
  folder.write("config.json", R"({"model_type":")" + type + R"(","num_hidden_layers":)" +
                                  std::to_string(layers) + more + "}");
  folder.write(
      "model.safetensors",
      testing::safetensors_of(R"({"model.embed_tokens.weight":)" +
                                  testing::safetensors_entry("F32", "[2,2]", "[0,16]") + "}",
                              16));
  return testing::error_of([&] { open_model(folder.path(), {}); });
}

// The defaults of transformers 5.24.
const struct AbsentFields {
  const char *type, *config;
  std::vector<std::string> shapes;  // "name; shape"
} kAbsentFields[] = {
    {"phimoe",
     "",
     {"block_sparse_moe.gate.weight: missing; expected [16, 4096]",
      "block_sparse_moe.experts.0.w1.weight: missing; expected [6400, 4096]",
      "k_proj.weight: missing; expected [1024, 4096]", "expected [32064, 4096]"}},
    {"qwen3_next",
     "",
     {"linear_attn.in_proj_qkvz.weight: missing; expected [12288, 2048]",
      "linear_attn.conv1d.weight: missing; expected [8192, 1, 4]",
      "linear_attn.norm.weight: missing; expected [128]",
      "mlp.gate.weight: missing; expected [512, 2048]", "expected [151936, 2048]"}},
    {"ernie4_5_moe",
     R"(,"moe_num_experts":2,"moe_layer_start_index":0,"moe_k":1)",
     {"mlp.shared_experts.gate_proj.weight: missing; expected [3072, 2560]",
      "mlp.experts.0.gate_proj.weight: missing; expected [1536, 2560]",
      "k_proj.weight: missing; expected [512, 2560]", "expected [103424, 2560]"}},
    {"olmoe",
     "",
     {"mlp.gate.weight: missing; expected [64, 2048]",
      "mlp.experts.0.gate_proj.weight: missing; expected [2048, 2048]", "expected [50304, 2048]"}},
    {"mixtral",
     "",
     {"block_sparse_moe.gate.weight: missing; expected [8, 4096]",
      "block_sparse_moe.experts.0.w1.weight: missing; expected [14336, 4096]",
      "expected [32000, 4096]"}},
    {"qwen3_moe",
     "",
     {"mlp.gate.weight: missing; expected [128, 2048]",
      "mlp.experts.0.gate_proj.weight: missing; expected [768, 2048]", "expected [151936, 2048]"}},
    {"qwen2_moe",
     "",
     {"q_proj.bias: missing; expected [2048]", "mlp.gate.weight: missing; expected [60, 2048]",
      "mlp.experts.0.gate_proj.weight: missing; expected [1408, 2048]", "expected [151936, 2048]"}},
    {"deepseek_v2",
     R"(,"num_experts_per_tok":2)",
     {"q_a_proj.weight: missing; expected [1536, 4096]",
      "q_b_proj.weight: missing; expected [6144, 1536]",
      "kv_a_proj_with_mqa.weight: missing; expected [576, 4096]",
      "kv_b_proj.weight: missing; expected [8192, 512]",
      "mlp.gate.weight: missing; expected [64, 4096]",
      "mlp.experts.0.gate_proj.weight: missing; expected [1407, 4096]", "expected [102400, 4096]"}},
    {"deepseek_v3",
     R"(,"first_k_dense_replace":0)",
     {"q_b_proj.weight: missing; expected [24576, 1536]",
      "kv_b_proj.weight: missing; expected [32768, 512]",
      "o_proj.weight: missing; expected [7168, 16384]",
      "mlp.gate.weight: missing; expected [256, 7168]",
      "mlp.experts.0.gate_proj.weight: missing; expected [2048, 7168]", "expected [129280, 7168]"}},
    {"deepseek_v3",
     "",  // its first three layers are dense
     {"mlp.gate_proj.weight: missing; expected [18432, 7168]"}},
    {"lfm2_moe",
     R"(,"num_dense_layers":0,"layer_types":["full_attention"])",
     {"k_proj.weight: missing; expected [512, 2048]",
      "feed_forward.gate.weight: missing; expected [32, 2048]",
      "feed_forward.experts.0.w1.weight: missing; expected [1792, 2048]",
      "expected [65536, 2048]"}},
    {"flex_olmo",
     "",
     {"mlp.gate.weight: missing; expected [7, 4096]",
      "mlp.experts.0.gate_proj.weight: missing; expected [11008, 4096]",
      "expected [100352, 4096]"}},
    {"granitemoe",
     "",
     {"router.layer.weight: missing; expected [8, 4096]",
      "input_linear.weight: missing; expected [8, 22016, 4096]",
      "output_linear.weight: missing; expected [8, 4096, 11008]", "expected [32000, 4096]"}},
    {"gpt_oss",
     "",
     {"k_proj.bias: missing; expected [512]", "self_attn.sinks: missing; expected [64]",
      "mlp.router.weight: missing; expected [128, 2880]",
      "mlp.experts.gate_up_proj: missing; expected [128, 2880, 5760]", "expected [201088, 2880]"}},
    {"mellum",
     "",
     {"q_proj.weight: missing; expected [4096, 2304]",
      "mlp.gate.weight: missing; expected [64, 2304]",
      "mlp.experts.0.gate_proj.weight: missing; expected [896, 2304]", "expected [98304, 2304]"}},
    {"qwen3_5_moe_text",
     R"(,"layer_types":["full_attention"])",
     {"q_proj.weight: missing; expected [8192, 2048]",
      "mlp.gate.weight: missing; expected [256, 2048]",
      "mlp.experts.0.gate_proj.weight: missing; expected [512, 2048]", "expected [248320, 2048]"}}};

TEST(Families, AbsentFieldsHaveTheValuesOfTransformers) {
  for (const AbsentFields& one : kAbsentFields) {
    const std::string found = missed(one.type, 1, one.config);
    EXPECT_EQ(found.substr(0, 2), "3 ") << one.type;
    for (const std::string& shape : one.shapes) {
      EXPECT_NE(found.find(shape), found.npos) << one.type << ": " << shape << "\n" << found;
    }
  }
}

// The first twenty tensors are said: they end in the second layer.
TEST(Families, WhichLayersOfQwen3NextAttend) {
  const auto second = [](const std::string& every) {
    return missed("qwen3_next", 2, R"(,"mlp_only_layers":[0])" + every);
  };
  const std::string usual = second("");  // every fourth
  EXPECT_NE(usual.find("model.layers.1.linear_attn"), usual.npos) << usual;
  const std::string other = second(R"(,"full_attention_interval":2)");
  EXPECT_NE(other.find("model.layers.1.self_attn"), other.npos) << other;
  EXPECT_NE(other.find("model.layers.0.linear_attn"), other.npos) << other;
}

}  // namespace
}  // namespace kappascope
