// The experts of a layer in training, against the formula in Torch's own operations.
#include "core/forward/learned_experts.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

namespace kappascope {
namespace {

constexpr std::int64_t kTokens = 37, kWidth = 6, kGates = 10, kExperts = 5, kSlots = 2;

at::Tensor values(at::IntArrayRef shape, double phase) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) { count *= extent; }
  return at::arange(double(count), at::kFloat).mul(0.37).add(phase).sin().view(shape).clone();
}

// Expert 3 has no token, and some of the cells are dropped.
struct Layer {
  at::Tensor x = values({kTokens, kWidth}, 0).requires_grad_(true);
  at::Tensor gate = values({kExperts, kWidth, kGates}, 1).requires_grad_(true);
  at::Tensor up = values({kExperts, kWidth, kGates}, 2).requires_grad_(true);
  at::Tensor down = values({kExperts, kGates, kWidth}, 3).requires_grad_(true);
  at::Tensor bias, scale;  // [E,I], [E] or [1]
  at::Tensor weight = values({kTokens, kSlots}, 4), score = values({kTokens, kSlots}, 5);
  at::Tensor index, kept;
  bool has_bias = true, has_scale = true,
       from_gate = false;  // u = α·s + b, b·s, α·s or α·z + b + s

  Layer(at::IntArrayRef bias_shape, at::IntArrayRef scale_shape) {
    bias = values(bias_shape, 6).requires_grad_(true);
    scale = values(scale_shape, 7).requires_grad_(true);
    const at::Tensor turn = at::arange(kTokens, at::kLong).unsqueeze(1);
    index = at::cat({turn % 3, at::where(turn % 2 == 0, 4, (turn + 1) % 3)}, 1);
    kept = at::cat({turn % 7 != 0, turn % 5 != 0}, 1);
    weight = weight.masked_fill(kept.logical_not(), 0).requires_grad_(true);
    score = score.masked_fill(kept.logical_not(), NAN).requires_grad_(true);
  }

  std::vector<at::Tensor> leaves() const { return {x, gate, up, down, bias, scale, weight, score}; }
};

std::vector<at::Tensor> of_experts(const at::Tensor& values) {
  return values.size(0) == 1 ? std::vector<at::Tensor>(kExperts, values.view({-1}))
                             : values.split(1, 0);
}

at::Tensor ours(const Layer& layer, KappaSums* sums) {
  std::vector<at::Tensor> bias, scale;
  for (const at::Tensor& part : of_experts(layer.bias)) { bias.push_back(part.view({-1})); }
  for (const at::Tensor& part : of_experts(layer.scale)) { scale.push_back(part.view({-1})); }
  if (!layer.has_bias) { bias.clear(); }
  if (!layer.has_scale) { scale.clear(); }
  KappaPlan plan;
  plan.bound = 3;
  plan.from_gate = layer.from_gate;
  return learned_experts(
      layer.x, {layer.index, layer.kept, layer.weight, layer.score},
      {layer.gate, layer.up, layer.down, {bias, scale, 1}}, plan, [] {}, sums);
}

at::Tensor by_formula(const Layer& layer) {
  at::Tensor output = at::zeros_like(layer.x);
  const auto bias = of_experts(layer.bias), scale = of_experts(layer.scale);
  for (std::int64_t e = 0; e < kExperts; ++e) {
    const at::Tensor cell =
        (layer.index == e).logical_and(layer.kept).flatten().nonzero().squeeze(1);
    const at::Tensor token = cell.div(kSlots, "floor"), in = layer.x.index_select(0, token);
    const at::Tensor s = layer.score.flatten().index_select(0, cell).unsqueeze(1);
    const at::Tensor z = in.mm(layer.gate[e]);
    const at::Tensor b = bias[e].view({1, -1}), alpha = scale[e].view({1, -1});
    const at::Tensor u = layer.from_gate    ? alpha * z + (b + s)
                         : !layer.has_scale ? b * s
                         : layer.has_bias   ? alpha * s + b
                                            : alpha * s;
    const at::Tensor a = z * ((std::log(3.0) * u.tanh()).exp() * z).sigmoid();
    const at::Tensor y = (a * in.mm(layer.up[e])).mm(layer.down[e]);
    const at::Tensor weight = layer.weight.flatten().index_select(0, cell).unsqueeze(1);
    output = output.index_add(0, token, y * weight);
  }
  return output;
}

std::vector<at::Tensor> derivatives(const at::Tensor& output, const Layer& layer) {
  return torch::autograd::grad({(output * values({kTokens, kWidth}, 8)).sum()}, layer.leaves(), {},
                               {}, false, /*allow_unused=*/true);
}

void expect_close(const at::Tensor& found, const at::Tensor& expected, const char* what) {
  const double error = (found - expected).abs().max().item<double>();
  EXPECT_LE(error, 2e-6 * expected.abs().max().item<double>()) << what;
}

class LearnedExperts : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    at::set_num_threads(GetParam());
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
    at::globalContext().setDeterministicFillUninitializedMemory(true);  // with NaN
  }
  void TearDown() override {
    at::globalContext().setDeterministicAlgorithms(false, /*warn_only=*/false);
  }
};

TEST_P(LearnedExperts, FollowTheFormulaInBothDirections) {
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{kExperts, kGates}, {kExperts, 1}, {1, kGates}, {1, 1}}) {
    const Layer layer(shape, shape);
    KappaSums sums;
    const at::Tensor found = ours(layer, &sums), expected = by_formula(layer);
    expect_close(found, expected, "output");
    EXPECT_EQ(sums.count, layer.kept.sum().item<std::int64_t>() * kGates);
    const std::vector<at::Tensor> ours_by = derivatives(found, layer),
                                  theirs_by = derivatives(expected, layer);
    const char* const names[] = {"x", "gate", "up", "down", "b", "α", "weight", "s"};
    for (std::size_t i = 0; i < ours_by.size(); ++i) {
      ASSERT_TRUE(ours_by[i].defined()) << names[i];
      expect_close(ours_by[i], theirs_by[i], names[i]);
    }
  }
}

void expect_same_derivatives(const Layer& layer) {
  const at::Tensor found = ours(layer, nullptr), expected = by_formula(layer);
  expect_close(found, expected, "output");
  const std::vector<at::Tensor> by = derivatives(found, layer),
                                expected_by = derivatives(expected, layer);
  for (std::size_t i = 0; i < by.size(); ++i) {
    ASSERT_EQ(by[i].defined(), expected_by[i].defined()) << i;
    if (by[i].defined()) { expect_close(by[i], expected_by[i], "by a leaf"); }
  }
}

TEST_P(LearnedExperts, FollowEveryFormOfKappa) {
  const std::vector<std::int64_t> shape{kExperts, kGates};
  Layer bias_alone(shape, shape), scale_alone(shape, shape), of_gate(shape, shape);
  bias_alone.has_scale = false;
  expect_same_derivatives(bias_alone);
  scale_alone.has_bias = false;
  expect_same_derivatives(scale_alone);
  of_gate.from_gate = true;
  expect_same_derivatives(of_gate);
}

// As under a κ router, whose α is 1.
TEST_P(LearnedExperts, LearnNoScaleThatIsFixed) {
  Layer layer({kExperts, kGates}, {1, 1});
  layer.scale = at::ones({1, 1});
  const std::vector<at::Tensor> leaves{layer.x, layer.bias, layer.score};
  const auto by = [&](const at::Tensor& output) {
    return torch::autograd::grad({(output * values({kTokens, kWidth}, 8)).sum()}, leaves);
  };
  const std::vector<at::Tensor> found = by(ours(layer, nullptr)), expected = by(by_formula(layer));
  for (std::size_t i = 0; i < leaves.size(); ++i) { expect_close(found[i], expected[i], "a leaf"); }
}

TEST_P(LearnedExperts, OfAFixedKappaDoNotReadTheScore) {
  Layer layer({1, 1}, {1, 1});
  layer.bias = at::zeros({1, 1}).requires_grad_(true);
  layer.scale = at::zeros({1, 1}).requires_grad_(true);
  const at::Tensor found = learned_experts(
      layer.x, {layer.index, layer.kept, layer.weight, layer.score},
      {layer.gate, layer.up, layer.down, {{}, {}, 1}}, KappaPlan{}, [] {}, nullptr);
  const at::Tensor expected = by_formula(layer);
  expect_close(found, expected, "output");
  const std::vector<at::Tensor> by = derivatives(found, layer),
                                expected_by = derivatives(expected, layer);
  for (const std::size_t i : {0, 1, 2, 3, 6}) {
    ASSERT_TRUE(by[i].defined()) << i;
    expect_close(by[i], expected_by[i], "by a leaf");
  }
  if (by[7].defined()) { EXPECT_EQ(by[7].abs().max().item<double>(), 0); }
}

TEST_P(LearnedExperts, AreTheSameOnOneThread) {
  const Layer layer({kExperts, kGates}, {kExperts, kGates});
  const at::Tensor found = ours(layer, nullptr);
  const std::vector<at::Tensor> by = derivatives(found, layer);
  at::set_num_threads(1);
  const at::Tensor expected = ours(layer, nullptr);
  const std::vector<at::Tensor> expected_by = derivatives(expected, layer);
  EXPECT_TRUE(found.equal(expected));
  for (std::size_t i = 0; i < by.size(); ++i) { EXPECT_TRUE(by[i].equal(expected_by[i])) << i; }
}

TEST_P(LearnedExperts, ComputeNothingOfNoToken) {
  Layer layer({kExperts, kGates}, {kExperts, kGates});
  layer.kept = at::zeros_like(layer.kept);
  layer.weight = at::zeros_like(layer.weight).requires_grad_(true);
  const at::Tensor found = ours(layer, nullptr);
  EXPECT_EQ(found.abs().max().item<double>(), 0);
  for (const at::Tensor& by : derivatives(found, layer)) {
    if (by.defined()) { EXPECT_EQ(by.abs().max().item<double>(), 0); }
  }
}

TEST_P(LearnedExperts, LetOutWhatTheCheckThrows) {
  const Layer layer({1, 1}, {1, 1});
  KappaPlan plan;
  EXPECT_THROW(learned_experts(
                   layer.x, {layer.index, layer.kept, layer.weight, layer.score},
                   {layer.gate, layer.up, layer.down, {}}, plan, [] { throw 1; }, nullptr),
               int);
}

INSTANTIATE_TEST_SUITE_P(Threads, LearnedExperts, testing::Values(1, 2, 4));

}  // namespace
}  // namespace kappascope
