#include "core/trace/recorded_arrays.h"

#include <algorithm>
#include <numeric>

namespace kappascope {
namespace {

bool has_selection_scores(const Model& model, const RunPlan& plan, std::int64_t layer) {
  if (plan.layers[layer].has(ExpertMode::reroute)) { return true; }
  if (model.architecture.layers[layer].moe()->router.has_own_scores()) { return true; }
  return model.architecture.layers[layer].moe()->router.selection_bias &&
         model.weights.tensor(Role::selection_bias, layer) != nullptr;
}

}  // namespace

TraceSettings with_layers(TraceSettings settings, const Model& model) {
  if (settings.layers.empty()) {
    settings.layers.resize(std::size_t(model.architecture.depth()));
    std::iota(settings.layers.begin(), settings.layers.end(), 0);
  }
  return settings;
}

RecordedArrays::RecordedArrays(const Model& model, const RunPlan& plan, const TokenizedText& text,
                               const TraceSettings& settings)
    : gates_(settings.record_gates),
      logits_(settings.record_logits),
      outputs_(settings.record_outputs),
      lens_(settings.lens),
      against_(settings.against_logits != nullptr),
      ablation_(settings.ablation),
      patching_(!settings.patching.is_null()),
      chat_(!text.assistant.empty()),
      generated_(!text.phase.empty()) {
  require(!text.tokens.empty() && text.bytes.size() == text.tokens.size(), ExitCode::internal, {},
          "a text without tokens or without their bytes");
  require(!chat_ || text.assistant.size() == text.tokens.size(), ExitCode::internal, {},
          "a chat without whose its tokens are");
  require(!generated_ || text.phase.size() == text.tokens.size(), ExitCode::internal, {},
          "a generated text without the phase of its tokens");
  const Architecture& architecture = model.architecture;
  const TraceSettings named = with_layers(settings, model);
  moe_layers = named.layers_of(architecture, true);
  dense_layers = named.layers_of(architecture, false);
  if (lens_) { lens_layers = named.layers; }
  for (const std::int64_t layer : moe_layers) {
    if (architecture.layers[layer].moe()->shared) { shared_layers.push_back(layer); }
    selection_scores = selection_scores || has_selection_scores(model, plan, layer);
    clamped = clamped || architecture.layers[layer].moe()->gate.limit.has_value();
    soft = soft || plan.layers[layer].soft.has_value();
    const KappaPlan& kappa = plan.kappa_of(layer, 0);
    learned_kappa = learned_kappa || !kappa.bias.empty() || !kappa.scale.empty();
  }
  in_force = ParametersInForce(model, plan, moe_layers);
  extents[Axis::token] = std::ssize(text.tokens);
  extents[Axis::slot] = plan.most_slots();
  set_extents(architecture, plan.passes);
}

void RecordedArrays::set_extents(const Architecture& architecture, std::int64_t passes) {
  const auto rows = [&](const auto& layers) { return std::ssize(layers) * passes; };
  extents[Axis::top] = kTopTokens;
  extents[Axis::moe_layer] = rows(moe_layers);
  extents[Axis::expert] = architecture.most_experts();
  extents[Axis::gate] = std::max<std::int64_t>(1, architecture.most_gates(true));
  extents[Axis::kappa_bin] = kKappaBins;
  extents[Axis::z_bin] = kGatePreBins;
  extents[Axis::dense_layer] = rows(dense_layers);
  extents[Axis::shared_layer] = rows(shared_layers);
  extents[Axis::dense_gate] = architecture.most_gates(false);
  extents[Axis::vocabulary] = architecture.vocab;
  if (lens_) { extents[Axis::lens_layer] = rows(lens_layers); }
  if (outputs_) { extents[Axis::width] = architecture.width; }
}

std::size_t RecordedArrays::axes_of(const ArraySchema& schema) const {
  if (schema.group != ArrayGroup::moe_optional) {
    return records(schema.group) ? schema.rank() : 0;
  }
  if (moe_layers.empty()) { return 0; }
  if (schema.name == "expert_output_norm") { return schema.rank(); }
  if (schema.name == "gate_clamped_fraction") { return clamped ? schema.rank() : 0; }
  if (schema.name == "selection_score") { return selection_scores ? schema.rank() : 0; }
  if (schema.name == "ablation_nll") { return ablation_ ? schema.rank() : 0; }
  if (schema.name == "patch_logprob") { return patching_ ? schema.rank() : 0; }
  if (schema.name == "kappa_u_square") { return learned_kappa ? schema.rank() : 0; }
  if (schema.name == "soft_weight" || schema.name.starts_with("layer_")) {
    return soft ? schema.rank() : 0;
  }
  return in_force.rank(schema.name);
}

bool RecordedArrays::records(ArrayGroup group) const {
  switch (group) {
    case ArrayGroup::tokens:
      return true;
    case ArrayGroup::moe:
      return !moe_layers.empty();
    case ArrayGroup::dense:
      return !dense_layers.empty();
    case ArrayGroup::shared:
      return !shared_layers.empty();
    case ArrayGroup::gates:
      return !moe_layers.empty() && gates_;
    case ArrayGroup::logits:
      return logits_;
    case ArrayGroup::against:
      return against_;
    case ArrayGroup::chat:
      return chat_;
    case ArrayGroup::generated:
      return generated_;
    case ArrayGroup::outputs:
      return !moe_layers.empty() && outputs_;
    case ArrayGroup::lens:
      return lens_;
    case ArrayGroup::moe_optional:
      break;
  }
  fail(ExitCode::internal, {}, "a group of arrays without a rule");
}

}  // namespace kappascope
