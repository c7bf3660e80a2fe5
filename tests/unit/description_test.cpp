#include "core/model/description.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/tools/synthetic.h"
#include "tests/unit/temp_folder.h"

namespace kappascope {
namespace {

using synthetic::ModelSpec;

Model opened(const testing::TempFolder& folder, const ModelSpec& spec) {
  write_model(folder.path(), spec);
  return open_model(folder.path(), {.kappa_values = false});
}

TEST(Description, ParametersByPartAndPerToken) {
  const testing::TempFolder folder;
  ModelSpec spec;  // H 32, 3 layers of which 2 MoE, 2 of 4 experts, 128 gate units
  const ParameterCounts counts = count_parameters(opened(folder, spec));
  const std::int64_t experts = 2 * 4 * 3 * 32 * 128;
  EXPECT_EQ(counts.parts.at("experts"), experts);
  EXPECT_EQ(counts.parts.at("kappa"), 2 * 2 * 4 * 128);    // α and b
  EXPECT_EQ(counts.parts.at("router"), 2 * (4 * 32 + 4));  // and the balancing bias
  EXPECT_EQ(counts.parts.at("embedding"), 256 * 32);
  EXPECT_EQ(counts.parts.at("dense layers"), 3 * 32 * 128);
  std::int64_t sum = 0;
  for (const auto& [part, elements] : counts.parts) { sum += elements; }
  EXPECT_EQ(counts.total, sum);
  const std::int64_t of_experts = experts + counts.parts.at("kappa");  // 2 of 4 run
  EXPECT_DOUBLE_EQ(counts.active, static_cast<double>(sum - of_experts / 2));
  EXPECT_EQ(counts.tensors_of.size(), 1u);
}

// Sets of κ parameters in front of the experts: those that a token meets, of the experts that it
// runs.
TEST(Description, SlotsOfKappaPerToken) {
  const testing::TempFolder folder;
  ModelSpec spec;
  const ParameterCounts none = count_parameters(opened(folder, spec));
  for (const std::int64_t slots : {1, 2, 3}) {
    for (const std::int64_t passes : {1, 2}) {
      const testing::TempFolder other;
      ModelSpec with = spec;
      with.passes = passes;
      for (const char* layer : {"1", "2"}) {
        const std::string head = std::string("transformer.h.") + layer + ".mlp.experts.";
        with.reshape[head + "kappa_bias"] = with.reshape[head + "kappa_scale"] = {slots, 4, 128};
      }
      const ParameterCounts counts = count_parameters(opened(other, with));
      const std::int64_t met = std::min(slots, passes), one = 2 * 2 * 4 * 128;
      EXPECT_EQ(counts.total, none.total + (slots - 1) * one);
      EXPECT_DOUBLE_EQ(counts.active, none.active + double((met - 1) * one) / 2);
    }
  }
}

TEST(Description, LayersAlikeAreOneRange) {
  const testing::TempFolder folder;
  ModelSpec spec;
  spec.layers = 6;
  spec.moe_start = 2;
  spec.kappa_start = 4;
  const std::vector<LayerRange> ranges = layer_ranges(opened(folder, spec));
  ASSERT_EQ(ranges.size(), 3u);
  EXPECT_EQ(ranges[0].first, 0);
  EXPECT_EQ(ranges[0].last, 1);
  EXPECT_EQ(ranges[0].text, "dense, 128 gate units, κ = 1");
  EXPECT_EQ(ranges[1].first, 2);
  EXPECT_EQ(ranges[1].last, 3);
  EXPECT_EQ(ranges[1].text, "MoE, 2 of 4 experts, 128 gate units each, κ = 1");
  EXPECT_EQ(ranges[2].last, 5);
  EXPECT_EQ(ranges[2].text, "MoE, 2 of 4 experts, 128 gate units each, κ within 1/4 … 4");
}

}  // namespace
}  // namespace kappascope
