#include <gtest/gtest.h>

#include <cmath>

#include "core/model/model.h"
#include "tests/tools/synthetic.h"
#include "tests/unit/temp_folder.h"

namespace kappascope {
namespace {

using synthetic::ModelSpec;

// cos of two columns, straight from its definition.
double cosine(const std::vector<double>& a, const std::vector<double>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return ab / std::sqrt(aa) / std::sqrt(bb);
}

TEST(Alignment, FollowsItsDefinition) {
  const testing::TempFolder folder;
  ModelSpec spec;
  spec.dtype = DType::bfloat16;
  write_model(folder.path(), spec);
  const Model model = open_model(folder.path());
  const Alignment alignment = router_alignment(model, 1);
  const std::vector<float> router = model.tensors->floats(model.weights.required(Role::router, 1));
  const std::vector<float> gate =
      model.tensors->floats(model.weights.required(Role::expert_gate, 1));
  ASSERT_EQ(alignment.mean.size(), 4u);
  ASSERT_EQ(alignment.energy.size(), 4u);
  for (std::size_t e = 0; e < 4; ++e) {
    const std::vector<double> weights(router.begin() + static_cast<long>(e * 32),
                                      router.begin() + static_cast<long>(e * 32 + 32));
    std::vector<double> mean(32);
    double weighted = 0, energy = 0;
    for (std::size_t i = 0; i < 128; ++i) {
      std::vector<double> column(32);
      double square = 0;
      for (std::size_t h = 0; h < 32; ++h) {
        column[h] = gate[(e * 32 + h) * 128 + i];
        mean[h] += column[h] / 128;
        square += column[h] * column[h];
      }
      weighted += cosine(weights, column) * square;
      energy += square;
    }
    EXPECT_NEAR(alignment.mean[e], cosine(weights, mean), 1e-6);
    EXPECT_NEAR(alignment.energy[e], weighted / energy, 1e-6);
  }
}

TEST(Alignment, NanStaysInItsExpert) {
  const testing::TempFolder folder;
  ModelSpec spec;
  spec.not_a_number = {"transformer.h.1.mlp.experts.gate_proj"};  // of expert 0
  write_model(folder.path(), spec);
  const Alignment alignment = router_alignment(open_model(folder.path()), 1);
  EXPECT_TRUE(std::isnan(alignment.mean[0]) && std::isnan(alignment.energy[0]));
  for (std::size_t e = 1; e < 4; ++e) {
    EXPECT_TRUE(std::isfinite(alignment.mean[e]) && std::isfinite(alignment.energy[e]));
  }
}

// The weights of a sparse file are 0: no direction to compare.
TEST(Alignment, ZeroWeightsHaveNone) {
  const testing::TempFolder folder;
  ModelSpec spec;
  spec.sparse = true;
  write_model(folder.path(), spec);
  const Alignment alignment = router_alignment(open_model(folder.path()), 2);
  for (const float value : alignment.mean) { EXPECT_TRUE(std::isnan(value)); }
  for (const float value : alignment.energy) { EXPECT_TRUE(std::isnan(value)); }
}

}  // namespace
}  // namespace kappascope
