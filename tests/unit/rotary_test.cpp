// Frequencies of long contexts (SPEC-families §0, §8).
#include <gtest/gtest.h>

#include "core/model/architecture.h"

namespace kappascope {
namespace {

RotarySpec slowed(RotaryScaling scaling, std::int64_t width, double base, double context,
                  double factor) {
  RotarySpec spec;
  spec.scaling = scaling;
  spec.width = width;
  spec.base = base;
  spec.context = context;
  spec.factor = factor;
  return spec;
}

TEST(Rotary, LongropeDividesByTheFactorsOfTheLengthOfACall) {
  RotarySpec spec;
  spec.width = 4;
  spec.base = 100;
  spec.scaling = RotaryScaling::longrope;
  spec.context = 32;
  spec.short_factor = {1, 2};
  spec.long_factor = {4, 8};
  spec.amplitude = 1.1;
  spec.long_amplitude = 1.3;
  EXPECT_EQ(rotary_frequencies(spec, 32), (std::vector<double>{1, 0.05}));
  EXPECT_EQ(rotary_frequencies(spec, 33), (std::vector<double>{0.25, 0.0125}));
  EXPECT_EQ(rotary_amplitude(spec, 32), 1.1);
  EXPECT_EQ(rotary_amplitude(spec, 33), 1.3);
}

TEST(Rotary, OtherAmplitudesDoNotFollowFromTheLength) {
  RotarySpec spec;
  spec.scaling = RotaryScaling::yarn;
  spec.context = 4;
  spec.amplitude = 1.2;
  EXPECT_EQ(rotary_amplitude(spec, 1000), 1.2);
}

// Turns over the context: 1304, 130, 13 and 1.3; below 4 and above 1 is a ramp.
TEST(Rotary, Llama3MixesBothBetweenItsBounds) {
  RotarySpec spec = slowed(RotaryScaling::llama3, 8, 10000, 8192, 8);
  const std::vector<double> found = rotary_frequencies(spec, 100);
  ASSERT_EQ(found.size(), 4u);
  EXPECT_NEAR(found[1], 0.1, 1e-15);
  EXPECT_NEAR(found[2], 0.01, 1e-15);
  EXPECT_NEAR(found[3], 2.1360754402756864e-4, 1e-15);  // computed apart from this program
  spec.context = 4096;                                  // 0.65 turns
  EXPECT_NEAR(rotary_frequencies(spec, 100)[3], 1.25e-4, 1e-15);
}

// Both corrections lie before the first pair: that keeps its frequency, all others are slowed.
TEST(Rotary, YarnWithoutAPairBetweenItsBoundsSlowsAllAfterThem) {
  RotarySpec spec = slowed(RotaryScaling::yarn, 4, 10000, 6, 4);
  spec.beta_fast = 2;
  spec.beta_slow = 1;
  spec.truncate = true;
  EXPECT_EQ(rotary_frequencies(spec, 100), (std::vector<double>{1, 0.0025}));
}

}  // namespace
}  // namespace kappascope
