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
  // Without `losses` the call only evaluates, of this process alone; `describe` fills layers().
  LearningCall(const TrainingRules& rules, bool losses, bool describe)
      : rules_(rules),
        losses_(losses),
        describe_(describe),
        ranks_(losses ? rules.ranks : nullptr) {}

  // The next call of a step; layers() goes on counting.
  void begin();

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
  // MoE layers, in order, over all calls and ranks.
  std::vector<LayerReport> layers() const;

  // A sum over the ranks, each with its part; its derivative is that of this rank's part, so that
  // those of all ranks add up to that of the sum.
  at::Tensor over_ranks(const at::Tensor& part) const;
  // The mean over the ranks of what is a mean over this rank's tokens, likewise.
  at::Tensor mean_over_ranks(const at::Tensor& mean) const;

  const TrainingRules& rules() const { return rules_; }

  at::Tensor with_embedding(const at::Tensor& x, const at::Tensor& x0, std::int64_t layer) override;
  at::Tensor budget(std::int64_t layer) override { return budgets[layer]; }
  std::int64_t tokens_of_call(std::int64_t tokens) const override;
  at::Tensor queued_before(const at::Tensor& counts) override;
  void routed(std::int64_t layer, const at::Tensor& x, const MoeWeights& weights,
              PlainRouting& routing) override;
  at::Tensor experts(std::int64_t layer, const at::Tensor& x, const PlainRouting& routing,
                     const KappaPlan& plan, const CallContext& context) override;
  at::Tensor dense_hidden(const at::Tensor& z, const at::Tensor& up) override;

 private:
  const TrainingRules& rules_;
  // Of an MoE layer.
  struct Described {
    std::int64_t layer = 0;
    at::Tensor assignments = {};  // [E] float32
    double tokens = 0;
    double budget = kNaN;  // of soft routing
    KappaSums kappa = {};
  };

  const bool losses_, describe_;
  Ranks* const ranks_;
  at::Tensor balance_ = at::zeros({}), router_z_ = at::zeros({});
  std::vector<Described> described_;
  std::size_t at_ = 0;  // the layer that was routed last, in described_, plus 1
};

}  // namespace kappascope
