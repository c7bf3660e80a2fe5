#include "core/model/description.h"

#include <gtest/gtest.h>

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
