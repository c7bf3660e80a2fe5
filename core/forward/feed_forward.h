// The MLP of a layer: experts behind a router, or dense (SPEC §1.5, §1.4). Routing, κ-SwiGLU and
// its statistics are kernels/; the matrix products are Torch's.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "core/engine/engine.h"
#include "core/engine/probe.h"
#include "core/forward/weights.h"
#include "kernels/gate_rules.h"

namespace kappascope {

// Thrown through the forward pass when the progress or a probe says stop; engine_library.cpp turns
// it into a value.
struct Stopped {};

struct Backend;  // backend.h
class Learning;  // learning.h

// What a call of the model carries from layer to layer.
struct CallContext {
  const Model& model;
  const ForwardCall& call;
  const RunPlan& plan;
  Probe& probe;
  Progress& progress;
  ProbeWants wants;
  const Backend& backend;
  std::uint64_t done = 0, total = 0;  // layers × tokens
  DeviceState* state = nullptr;       // of the loaded model; nullptr on the CPU
  // Room for κ, z and a of one layer, where they are recorded on the CPU: the system gives new
  // memory page by page, which costs as much as filling it, so layers take turns with this.
  at::Tensor* gate_memory = nullptr;
  Learning* learning = nullptr;  // of a call that trains; the plain backend on the CPU alone

  std::int64_t tokens() const { return std::int64_t(call.ids.size()); }
  std::int64_t recorded() const { return tokens() - call.first_recorded; }
  std::int64_t first_token() const { return call.text_offset + call.first_recorded; }
  std::int64_t text_tokens() const {
    return call.text_tokens > 0 ? call.text_tokens : call.text_offset + tokens();
  }
  // Reports progress; throws Stopped when it says so.
  void check() const {
    if (!progress.update(Stage::prefill, done, total)) { throw Stopped{}; }
  }
  static void require_going(bool going) {
    if (!going) { throw Stopped{}; }
  }
};

// What decides s of an MoE layer (SPEC §1.5); part of route_rules.
RouteScore route_score(const std::optional<KappaScore>& score);

// How a router scores, chooses and weighs, for the kernels.
RouterRule router_rule(const RouterSpec& spec);

// The rules of a layer's router for a call of so many tokens; where logits, biases and results are
// is added by whoever routes.
RouteArgs route_rules(const LayerPlan& plan, std::int64_t tokens);

// What is done to z and up of a layer before κ-SwiGLU; its pointers are into the weights.
GateRules gate_rules(const GateSpec& spec, const MoeWeights& weights);

// Router logits: x [T,H] → [T,E].
at::Tensor router_logits(const at::Tensor& x, const MoeWeights& weights);

// What the shared expert's output is multiplied by, [T,1]; undefined: 1.
at::Tensor shared_weight(const at::Tensor& x, const MoeWeights& weights);

// Scores of the κ router: x [T,H] → [T,E] float32; undefined where the layer has none.
at::Tensor kappa_router_scores(const at::Tensor& x, const MoeWeights& weights);

// What is added to logits or scores for the choice of experts, [E]: the bias of selection, −∞ for
// an expert that an intervention takes out of it. Empty: nothing.
std::vector<float> selection_bias(const MoeWeights& weights, const LayerPlan& plan);

// By what experts are chosen: the rule, and that bias.
struct SelectionRule {
  RouterRule router;
  std::vector<float> bias;
};
// What decides the choice of experts, where it is not the raw logit, [T,E] of logits on the host.
// Empty: the logit.
std::vector<float> selection_scores(const RoutingView& routing, const SelectionRule& rule);

// RouteArgs::given_expert of a call, [T,K]; empty: none is given.
std::vector<std::int32_t> given_experts(std::int64_t layer, std::int64_t pass,
                                        const CallContext& context);

}  // namespace kappascope
