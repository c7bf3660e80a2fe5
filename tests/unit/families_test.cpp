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

TEST(Families, AbsentFieldsHaveTheValuesOfTransformers) {
  const struct {
    const char *type, *config;
    std::vector<std::string> shapes;  // "name; shape"
  } cases[] = {{"phimoe",
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
                 "mlp.experts.0.gate_proj.weight: missing; expected [2048, 2048]",
                 "expected [50304, 2048]"}},
               {"mixtral",
                "",
                {"block_sparse_moe.gate.weight: missing; expected [8, 4096]",
                 "block_sparse_moe.experts.0.w1.weight: missing; expected [14336, 4096]",
                 "expected [32000, 4096]"}},
               {"qwen3_moe",
                "",
                {"mlp.gate.weight: missing; expected [128, 2048]",
                 "mlp.experts.0.gate_proj.weight: missing; expected [768, 2048]",
                 "expected [151936, 2048]"}}};
  for (const auto& one : cases) {
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
