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
    const testing::TempFolder folder;
    folder.write("config.json", std::string(R"({"model_type":")") + one.type +
                                    R"(","num_hidden_layers":1)" + one.config + "}");
    folder.write(
        "model.safetensors",
        testing::safetensors_of(R"({"model.embed_tokens.weight":)" +
                                    testing::safetensors_entry("F32", "[2,2]", "[0,16]") + "}",
                                16));
    const std::string found = testing::error_of([&] { open_model(folder.path(), {}); });
    EXPECT_EQ(found.substr(0, 2), "3 ") << one.type;
    for (const std::string& shape : one.shapes) {
      EXPECT_NE(found.find(shape), found.npos) << one.type << ": " << shape << "\n" << found;
    }
  }
}

}  // namespace
}  // namespace kappascope
