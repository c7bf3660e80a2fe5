// The experts of a layer in training: threads take an expert each, in both directions.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "core/engine/run_plan.h"
#include "core/forward/kappa_function.h"

namespace kappascope {

// b and α of the experts of a layer, [I] or [1] each; undefined: none.
struct LearnedKappa {
  std::vector<at::Tensor> bias, scale;  // [E]; empty: none
  double score_gradient = 1;            // of the derivative by s
};

// Parameters of the experts, all at once: the derivative of each alone would be as large as that of
// all.
struct LearnedExperts {
  at::Tensor gate, up, down;  // [E,H,I], [E,H,I], [E,I,H]
  LearnedKappa kappa;
};

// Where the tokens of a call go, [T,K] each.
struct LearnedRouting {
  at::Tensor index;   // int64
  at::Tensor kept;    // bool
  at::Tensor weight;  // 0 where not kept
  at::Tensor score;   // s, not read where not kept
};

// Σ_k weight·down(κ-SwiGLU(gate(x), up(x))) [T,H] of x [T,H] over the kept experts of each token.
// Derivatives by x, weight, score and all parameters; second derivatives are refused. What one
// expert computes does not depend on the number of threads. κ is added to `sums` unless that is
// nullptr. The calling thread calls check() before each expert that it takes; what that
// throws comes out here.
at::Tensor learned_experts(const at::Tensor& x, const LearnedRouting& routing,
                           const LearnedExperts& experts, const KappaPlan& plan,
                           const std::function<void()>& check, KappaSums* sums);

}  // namespace kappascope
