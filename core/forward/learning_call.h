// A call that trains or evaluates a model in training: what it reads, and what comes of it beside
// the output.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "core/engine/training.h"
#include "core/forward/learned_experts.h"
#include "core/forward/learning.h"

namespace kappascope {

class LearningCall final : public Learning {
 public:
  // Without `losses` the call only evaluates; `describe` fills layers().
  LearningCall(const TrainingRules& rules, bool losses, bool describe)
      : rules_(rules), losses_(losses), describe_(describe) {}

  // Set before the call (LearnedWeights::prepare).
  std::vector<LearnedExperts> parameters;  // [L]
  at::Tensor resid_lambdas, x0_lambdas;    // [L]
  std::vector<at::Tensor> budgets;         // [L] k, a float64 number; undefined: no soft routing

  // Sums over the MoE layers (arXiv 2101.03961 (4), 2202.08906 (5) with the mean of the logits
  // apart):
  //   balance   E·Σ_e (mean p_e)·(assignments of e / T), p = softmax(r); of soft routing the
  //             experts that run are assigned
  //   router z  mean over tokens of logsumexp(r − r̄)² + r̄²
  const at::Tensor& balance() const { return balance_; }
  const at::Tensor& router_z() const { return router_z_; }
  // MoE layers, in order.
  std::vector<LayerReport> layers() const;

  const TrainingRules& rules() const { return rules_; }

  at::Tensor with_embedding(const at::Tensor& x, const at::Tensor& x0, std::int64_t layer) override;
  at::Tensor budget(std::int64_t layer) override { return budgets[layer]; }
  void routed(std::int64_t layer, const at::Tensor& x, const MoeWeights& weights,
              PlainRouting& routing) override;
  at::Tensor experts(std::int64_t layer, const at::Tensor& x, const PlainRouting& routing,
                     const KappaPlan& plan, const CallContext& context) override;
  at::Tensor dense_hidden(const at::Tensor& z, const at::Tensor& up) override;

 private:
  const TrainingRules& rules_;
  const bool losses_, describe_;
  at::Tensor balance_ = at::zeros({}), router_z_ = at::zeros({});
  std::vector<LayerReport> layers_;
  std::vector<KappaSums> sums_;  // beside layers_
};

}  // namespace kappascope
