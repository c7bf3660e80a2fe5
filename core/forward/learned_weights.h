// The weights of a nanochat model as leaves that are learned, in the places where the forward pass
// reads weights.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/forward/layer_source.h"
#include "core/forward/learning_call.h"
#include "core/forward/weights.h"

namespace kappascope {

// By what its learning rate follows.
enum class LearnedKind : std::uint8_t { matrix, embedding, head, residual, input, kappa, budget };

struct Leaf {
  std::string name;  // in the checkpoint
  LearnedKind kind = LearnedKind::matrix;
  at::Tensor values;  // float32
};

class LearnedWeights {
 public:
  // Throws Error: unsupported, by name, where a part of the model cannot be trained.
  LearnedWeights(const Model& model, at::Device device, Progress& progress);

  const std::vector<Leaf>& leaves() const { return leaves_; }
  const Weights& weights() const { return weights_; }

  // Before a call: what the forward pass reads follows the leaves as they are now, and derivatives
  // reach them where those are wanted.
  void prepare(LearningCall& call);
  // Σ mean b² + mean α² over the layers with κ.
  at::Tensor kappa_l2() const;

 private:
  class Layers;
  void learn(at::Tensor& place, Role role, std::int64_t layer, LearnedKind kind);
  at::Tensor leaf(Role role, std::int64_t layer, LearnedKind kind);
  void learn_layer(LayerWeights& weights, std::int64_t layer);
  double total_budget(const LearningCall& call) const;  // of soft routing

  // Of the experts of a layer; undefined: no such parameter.
  struct Experts {
    at::Tensor gate, up, down;  // [E,H,I], [E,H,I], [E,I,H]
    at::Tensor bias, scale;     // [E,I], [E] or [1]
  };

  const Model& model_;
  Weights weights_;
  std::vector<Leaf> leaves_;
  std::map<std::string, std::size_t, std::less<>> places_;  // in leaves_, by name
  std::vector<Experts> experts_;                            // [L]
  at::Tensor resid_lambdas_, x0_lambdas_;                   // [L]
  at::Tensor eta_;                                          // [MoE layers]; undefined: top-k
  std::shared_ptr<Layers> layers_;
};

}  // namespace kappascope
