// The MLP of a layer: experts behind a router, or dense (SPEC §1.5, §1.4). Routing, κ-SwiGLU and
// its statistics are kernels/; the matrix products are Torch's.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "core/engine/engine.h"
#include "core/engine/probe.h"
#include "core/forward/weights.h"

namespace kappascope {

// Thrown through the forward pass when the progress or a probe says stop; engine_library.cpp turns
// it into a value.
struct Stopped {};

// What a call of the model carries from layer to layer.
struct CallContext {
  const Model& model;
  const ForwardCall& call;
  const ForwardOptions& options;
  Probe& probe;
  Progress& progress;
  ProbeWants wants;
  std::uint64_t done = 0, total = 0;  // layers × tokens
  DeviceState* state = nullptr;       // of the loaded model; nullptr on the CPU
  // [3,T,K,I] of the call where κ, z and a of a layer are recorded on the CPU: the system gives new
  // memory page by page, which costs as much as filling it, so layers take turns with this.
  at::Tensor* gate_memory = nullptr;

  std::int64_t tokens() const { return std::int64_t(call.ids.size()); }
  std::int64_t recorded() const { return tokens() - call.first_recorded; }
  std::int64_t first_token() const { return call.text_offset + call.first_recorded; }
  // Tells the progress; throws Stopped when it says so.
  void check() const {
    if (!progress.update("prefill", done, total)) { throw Stopped{}; }
  }
  static void require_going(bool going) {
    if (!going) { throw Stopped{}; }
  }
};

// What decides s of a κ layer (SPEC §1.5).
inline RouteScore route_score(const ModelConfig& config) {
  switch (config.kappa_input) {
    case KappaInput::router_probs:
      return RouteScore::router_probs;
    case KappaInput::constant:
      return RouteScore::constant;
    case KappaInput::top_logits:
      break;
  }
  return config.kappa_input_logit_norm_exponent > 0 ? RouteScore::scaled_logit
                                                    : RouteScore::raw_logit;
}

// Its factor; 1 where it has none.
inline float score_factor(RouteScore score) {
  switch (score) {
    case RouteScore::router_probs:
      return 2;
    case RouteScore::raw_logit:
      return 0.3f;
    case RouteScore::scaled_logit:
      return 6;
    case RouteScore::constant:
    case RouteScore::given:
    case RouteScore::none:
      break;
  }
  return 1;
}

// x [T,H] (already normed) → [T,H].
at::Tensor moe_layer(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                     std::int64_t pass, const CallContext& context);
at::Tensor dense_layer(const at::Tensor& x, const DenseWeights& weights, std::int64_t layer,
                       std::int64_t pass, const CallContext& context);

}  // namespace kappascope
