// What one run does: per layer the κ parameters, router rules and passes that are in force, after a
// checkpoint's slots, formula and side and the run's interventions. Engine, recorder and statistics
// read this and nothing else about κ and routing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/engine/interventions.h"
#include "core/model/model.h"
#include "kernels/kernels.h"

namespace kappascope {

// κ of the gates of one layer in one pass, as kernels take it: α and b carry the formula's
// multiplier.
struct KappaPlan {
  std::vector<float> bias;    // empty: b = 0
  std::vector<float> scale;   // empty: no α
  std::vector<float> factor;  // [E] (dense: [1]) κ = factor·U^tanh(u); empty: 1
  std::int64_t expert_stride = 0, gate_stride = 0;              // of bias
  std::int64_t scale_expert_stride = 0, scale_gate_stride = 0;  // of scale
  double bound = 1;                                             // U
  double multiplier = 1;                                        // that bias and scale carry
  bool from_gate = false;                                       // u = α·z + b + s

  bool constant_one() const { return bias.empty() && scale.empty() && factor.empty(); }
  KappaView view() const;
};

struct LayerPlan {
  const LayerSpec* spec = nullptr;
  // MoE layers
  std::int64_t slots = 0;                // K
  std::optional<CapacityRule> capacity;  // absent: nothing is dropped
  // One for each slot of κ that a pass can have, at least one; κ of every gate of the layer.
  std::vector<KappaPlan> kappa;
  // What an intervention changed: α, b and factor of the trace then are these (SPEC §9).
  bool bias_edited = false, scale_edited = false, factor_edited = false;

  std::int64_t capacity_of_call(std::int64_t tokens) const;  // −1: nothing is dropped
};

struct RunPlan {
  std::int64_t passes = 1;
  std::vector<LayerPlan> layers;            // [L]
  std::vector<Intervention> interventions;  // in order of application
  bool kappa = false;  // some layer's κ is learned, or an intervention's, and not 1
  // One object for each resolved plan, so that what is made of a plan can be kept.
  std::shared_ptr<const char> identity;

  const KappaPlan& kappa_of(std::int64_t layer, std::int64_t pass) const;
  std::int64_t most_slots() const;  // K over the MoE layers; 0 without any
};

// Errors: unsupported, when an intervention names a layer, expert or parameter that is not there,
// or cannot act in any layer of its scope. `model` must outlive the plan.
RunPlan resolve(const Model& model, const std::vector<Intervention>& interventions);

}  // namespace kappascope
