// The derivatives of soft routing's weights, of which the plain backend is made (SPEC §3).
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "core/forward/plain_route.h"

namespace kappascope {
namespace {

constexpr double kStep = 1e-5;

at::Tensor sum_of(const at::Tensor& logits, double budget, double temperature,
                  const at::Tensor& factor) {
  return (factor * soft_weights(logits, at::scalar_tensor(budget, at::kDouble), temperature)).sum();
}

struct Case {
  std::int64_t experts;
  double budget, temperature, spread;
};

TEST(SoftWeights, GradientsAreThoseOfFiniteDifferences) {
  for (const Case& of : {Case{2, 0.5, 1, 1}, Case{5, 1.7, 1.5, 2}, Case{8, 0.01, 1, 2},
                         Case{8, 7.99, 1, 2}, Case{33, 4, 2, 0.1}, Case{64, 3, 1, 5}}) {
    const at::Tensor logits =
        at::arange(3 * of.experts, at::kDouble).mul(0.7).sin().mul(of.spread).view({3, of.experts});
    const at::Tensor factor = at::arange(3 * of.experts, at::kDouble).cos().view({3, of.experts});
    const at::Tensor given = logits.clone().requires_grad_(true);
    const at::Tensor budget = at::scalar_tensor(of.budget, at::kDouble).requires_grad_(true);
    const auto gradients = torch::autograd::grad(
        {(factor * soft_weights(given, budget, of.temperature)).sum()}, {given, budget});
    const double scale = gradients[0].abs().max().item<double>();
    for (std::int64_t i = 0; i < logits.numel(); ++i) {
      at::Tensor up = logits.clone(), down = logits.clone();
      up.view({-1})[i] += kStep;
      down.view({-1})[i] -= kStep;
      const double slope = ((sum_of(up, of.budget, of.temperature, factor) -
                             sum_of(down, of.budget, of.temperature, factor)) /
                            (2 * kStep))
                               .item<double>();
      EXPECT_NEAR(gradients[0].view({-1})[i].item<double>(), slope, 1e-6 * scale)
          << of.experts << " experts, budget " << of.budget << ", logit " << i;
    }
    const double step = kStep * std::min(of.budget, double(of.experts) - of.budget);
    const double slope = ((sum_of(logits, of.budget + step, of.temperature, factor) -
                           sum_of(logits, of.budget - step, of.temperature, factor)) /
                          (2 * step))
                             .item<double>();
    EXPECT_NEAR(gradients[1].item<double>(), slope, 1e-6 * (1 + std::fabs(slope)));
  }
}

TEST(SoftWeights, GradientsReachWhatSharesTheBudget) {
  constexpr double kTotal = 7.3;
  const at::Tensor logits = at::arange(24, at::kDouble).mul(0.9).sin().view({3, 8});
  const at::Tensor factor = at::arange(24, at::kDouble).cos().view({3, 8});
  // A layer each with its own sign, so that their parts do not cancel.
  const auto sum = [&](const at::Tensor& eta) {
    const at::Tensor budgets = soft_budgets(eta, kTotal);
    at::Tensor total = at::zeros({}, at::kDouble);
    for (std::int64_t i = 0; i < budgets.size(0); ++i) {
      total = total + (factor * soft_weights((1 + double(i)) * logits, budgets[i], 1.5)).sum();
    }
    return total;
  };
  const at::Tensor eta = at::tensor({0.3, -1.1, 0.0, 0.8}, at::kDouble);
  EXPECT_NEAR(soft_budgets(eta, kTotal).sum().item<double>(), kTotal, 1e-12);
  const at::Tensor given = eta.clone().requires_grad_(true);
  const at::Tensor gradient = torch::autograd::grad({sum(given)}, {given})[0];
  for (std::int64_t i = 0; i < eta.numel(); ++i) {
    at::Tensor up = eta.clone(), down = eta.clone();
    up[i] += kStep;
    down[i] -= kStep;
    const double slope = ((sum(up) - sum(down)) / (2 * kStep)).item<double>();
    EXPECT_NEAR(gradient[i].item<double>(), slope, 1e-6 * gradient.abs().max().item<double>());
  }
}

TEST(SoftWeights, AGradientOfHugeLogitsIsFinite) {
  const at::Tensor logits = at::tensor({1e6, -1e6, 3e5, 0.0}, at::kDouble).view({1, 4});
  const at::Tensor given = logits.clone().requires_grad_(true);
  const at::Tensor budget = at::scalar_tensor(2.0, at::kDouble).requires_grad_(true);
  const at::Tensor p = soft_weights(given, budget, 1);
  EXPECT_NEAR(p.sum().item<double>(), 2, 1e-12);
  const auto gradients = torch::autograd::grad({p.square().sum()}, {given, budget});
  EXPECT_TRUE(gradients[0].isfinite().all().item<bool>());
  EXPECT_TRUE(gradients[1].isfinite().item<bool>());
}

}  // namespace
}  // namespace kappascope
