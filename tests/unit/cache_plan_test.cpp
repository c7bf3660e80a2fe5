// What a cache takes, from sizes alone.
#include <gtest/gtest.h>

#include "core/engine/cache_plan.h"

namespace kappascope {
namespace {

LayerSpec attending(std::int64_t window) {
  LayerSpec layer;
  layer.attention = {.heads = 8, .kv_heads = 2, .head_width = 16, .window = window};
  return layer;
}

TEST(CachePlanTest, LayersKeepWhatLaterTokensSee) {
  Architecture architecture;
  architecture.width = 32;
  architecture.layers = {attending(kNoWindow), attending(10), attending(kNoWindow), {}, {}};
  architecture.layers[2].attention.latent = LatentSpec{.rank = 12, .turned = 4, .value_width = 16};
  architecture.layers[3].convolution = ConvolutionSpec{.taps = 3};
  architecture.layers[4].delta =
      DeltaSpec{.key_heads = 2, .value_heads = 4, .key_width = 6, .value_width = 5, .taps = 4};
  const CachePlan plan = plan_cache(architecture, 2, 100);
  const std::uint64_t floats = 100 * 2 * (16 + 16)    // every token's keys and values
                               + 21 * 2 * (16 + 16)   // twice the window, and a token
                               + 100 * (12 + 4)       // latent vector and shared key
                               + 2 * 32               // the inputs of the taps before
                               + 3 * 44 + 4 * 6 * 5;  // likewise, and a state for each head
  EXPECT_EQ(plan.bytes(), 2 * 4 * floats);
  EXPECT_EQ(plan_cache(architecture, 1, 15).layers[1].tokens, 15);
}

TEST(CachePlanTest, PositionsThatFollowTheLengthOfATextDoNotGoOn) {
  Architecture architecture;
  architecture.layers = {attending(kNoWindow)};
  RotarySpec& rotary = architecture.layers[0].attention.rotary;
  rotary.width = 4;
  EXPECT_TRUE(positions_go_on(architecture, 10, 1000));
  rotary.scaling = RotaryScaling::longrope;
  rotary.context = 64;
  rotary.short_factor = {1, 2};
  rotary.long_factor = {3, 4};
  EXPECT_TRUE(positions_go_on(architecture, 10, 64));
  EXPECT_FALSE(positions_go_on(architecture, 10, 65));
  EXPECT_TRUE(positions_go_on(architecture, 65, 1000));
  rotary.scaling = RotaryScaling::dynamic;
  rotary.factor = 4;
  EXPECT_TRUE(positions_go_on(architecture, 10, 64));
  EXPECT_FALSE(positions_go_on(architecture, 70, 71));
}

}  // namespace
}  // namespace kappascope
