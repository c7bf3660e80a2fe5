// What one run does: per layer the κ parameters, router rules and passes that are in force, after a
// checkpoint's slots, formula and side and the run's interventions. Engine, recorder and statistics
// read this and nothing else about κ and routing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
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

// What an expert gives.
enum class ExpertMode : std::uint8_t {
  runs,
  zero,     // its output is 0
  reroute,  // it is chosen for no token
  mean      // its output is its mean over the tokens of the call that it runs for
};

// The experts of some tokens' first slots, whatever the router says.
struct GivenExperts {
  std::vector<std::int64_t> tokens;   // of the text, ascending; empty: all
  std::vector<std::int32_t> experts;  // in the order of the slots
};

// Routing that was recorded elsewhere: the experts of every token in every row.
struct GivenRoutes {
  std::string file;
  std::int64_t rows = 0, tokens = 0, slots = 0;  // R, T or T − 1, K
  // [R] layer of the model and pass; empty: the rows are the MoE layers in order, pass after pass.
  std::vector<std::int32_t> layer, pass;
  std::vector<std::int32_t> expert;    // [R,T,K] −1: the router's own choice
  std::vector<std::int32_t> token_id;  // [T] of the text it was recorded of; empty: not known
};

// What MoE layers gave in a run that was recorded elsewhere.
struct GivenOutputs {
  std::string file;                             // as the intervention names it
  std::string config_sha256, directory_sha256;  // of its model
  std::optional<std::int64_t> step;             // likewise, of its training
  std::int64_t tokens = 0, width = 0;           // T, H
  std::vector<std::int32_t> layer, pass;        // [R] of the model, and pass
  std::span<const float> output;                // [R,T,H]
  std::shared_ptr<const void> owner;            // of `output`
};

// Outputs that take the place of a layer's own at some tokens.
struct PatchedOutputs {
  std::shared_ptr<const GivenOutputs> from;
  std::vector<std::int64_t> row;     // [passes] of from->output; −1: the pass keeps its own
  std::vector<std::int64_t> tokens;  // of the text, ascending; empty: all
};

struct LayerPlan {
  const LayerSpec* spec = nullptr;
  // MoE layers
  std::int64_t slots = 0;                // K
  std::optional<CapacityRule> capacity;  // absent: nothing is dropped
  std::optional<SoftSpec> soft;          // soft routing; K = E
  // One for each slot of κ that a pass can have, at least one; κ of every gate of the layer.
  std::vector<KappaPlan> kappa;
  // What an intervention changed: α, b and factor of the trace then are these (SPEC §9).
  bool bias_edited = false, scale_edited = false, factor_edited = false;
  std::vector<ExpertMode> modes;    // [E]; empty: every expert runs
  std::vector<double> gate_keep;    // [E] share Q of Σ|a| that acts; empty: all of it
  std::vector<GivenExperts> given;  // later ones win
  // [passes] a row of RunPlan::routes, which comes before `given`; −1 or empty: none.
  std::vector<std::int64_t> routes_row;
  std::vector<PatchedOutputs> patches;  // later ones win

  bool has(ExpertMode mode) const;
  bool gives_experts() const { return !given.empty() || !routes_row.empty(); }
  ExpertMode mode(std::int64_t expert) const {
    return modes.empty() ? ExpertMode::runs : modes[expert];
  }
  // Σ|a| that acts; 1: all of it.
  double share_kept(std::int64_t expert) const { return gate_keep.empty() ? 1 : gate_keep[expert]; }
  std::int64_t capacity_of_call(std::int64_t tokens) const;  // −1: nothing is dropped
  SoftRule soft_rule() const;                                // of a layer with soft routing
};

// What the layer does without interventions. `model` must outlive the plan.
LayerPlan layer_plan(const Model& model, std::size_t layer);

// The tokens of a call in their text.
struct CallTokens {
  std::int64_t first = 0, count = 0;
  std::int64_t recorded = 0;  // the first that the call records; those before it are context
  std::int64_t text = 0;      // tokens of the text
};

struct RunPlan {
  std::int64_t passes = 1;
  std::vector<LayerPlan> layers;            // [L]
  std::vector<Intervention> interventions;  // in order of application
  bool kappa = false;  // some layer's κ is learned, or an intervention's, and not 1
  // One object for each resolved plan, so that what is made of a plan can be kept.
  std::shared_ptr<const char> identity;
  std::shared_ptr<const GivenRoutes> routes;  // nullptr: none

  // The experts given to the tokens of a call, [count,K] in the order of the slots; −1: the
  // router's choice. Empty: none is given in this layer. `routes` are of recorded tokens: what a
  // token chose as context of a later call was not recorded.
  std::vector<std::int32_t> given_experts(std::int64_t layer, std::int64_t pass,
                                          const CallTokens& call) const;
  // Errors: unsupported, when an intervention names a token that this text does not have, or
  // routing of another text.
  void check_text(std::span<const std::int32_t> ids) const;
  const KappaPlan& kappa_of(std::int64_t layer, std::int64_t pass) const;
  std::int64_t most_slots() const;  // K over the MoE layers; 0 without any
};

// Errors: unsupported, when an intervention names a layer, expert or parameter that is not there,
// or cannot act in any layer of its scope. `model` must outlive the plan. `routes`: what the last
// of the interventions `routes` names; `outputs`: what each file of a `patch` holds
// (core/trace/given_routes.h reads both).
RunPlan resolve(const Model& model, const std::vector<Intervention>& interventions,
                std::shared_ptr<const GivenRoutes> routes = nullptr,
                std::vector<std::shared_ptr<const GivenOutputs>> outputs = {});

}  // namespace kappascope
