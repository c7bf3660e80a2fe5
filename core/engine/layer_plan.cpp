// What a layer does before any intervention.
#include <algorithm>
#include <cmath>

#include "core/engine/run_plan.h"

namespace kappascope {
namespace {

// The slot `slot` of parameters stored one slot after the other; the last one repeats.
std::vector<float> slot_of(const std::vector<float>& values, std::int64_t slots,
                           std::int64_t slot) {
  const std::size_t size = values.size() / std::size_t(slots);
  const auto first = values.begin() + std::int64_t(size) * std::min(slot, slots - 1);
  return {first, first + std::int64_t(size)};
}

// The parameters of one slot of a pass, or of the side that is read (SPEC-layouts §1.5b).
std::vector<float> picked(const std::vector<float>& values, std::int64_t slots, std::int64_t slot,
                          const KappaSlots& rule) {
  if (values.empty()) { return {}; }
  if (rule.side != KappaSide::sft || slots < 2) { return slot_of(values, slots, slot); }
  std::vector<float> result = slot_of(values, slots, 1);
  if (rule.sft == SftKappa::independent) { return result; }
  for (std::size_t i = 0; i < result.size(); ++i) { result[i] += values[i]; }
  return result;
}

void multiply(std::vector<float>& values, double by) {
  if (by == 1) { return; }
  for (float& value : values) { value = float(by * value); }
}

KappaPlan kappa_plan(const KappaSpec& spec, const KappaParameters& stored, std::int64_t slot,
                     const KappaSlots& rule) {
  KappaPlan plan;
  plan.bound = spec.bound;
  plan.multiplier = spec.multiplier;
  plan.from_gate = spec.from_gate;
  if (spec.bias) {
    plan.bias = picked(stored.bias, stored.bias_slots, slot, rule);
    plan.expert_stride = stored.expert_stride;
    plan.gate_stride = stored.gate_stride;
    multiply(plan.bias, spec.multiplier);
  }
  if (spec.scale) {
    plan.scale = picked(stored.scale, stored.scale_slots, slot, rule);
    plan.scale_expert_stride = stored.expert_stride;
    plan.scale_gate_stride = stored.gate_stride;
    multiply(plan.scale, spec.multiplier);
  } else if (spec.router) {
    plan.scale = {1};  // u = b + s, which is α = 1
  }
  return plan;
}

}  // namespace

LayerPlan layer_plan(const Model& model, std::size_t layer) {
  LayerPlan plan;
  plan.spec = &model.architecture.layers[layer];
  if (const MoeSpec* moe = plan.spec->moe()) {
    plan.slots = moe->router.slots;
    plan.capacity = moe->router.capacity;
    plan.soft = moe->router.soft;
  }
  const KappaSpec* spec = plan.spec->kappa();
  const KappaSlots& rule = model.architecture.kappa_slots;
  if (spec == nullptr) {
    plan.kappa.emplace_back();
    const MoeSpec* moe = plan.spec->moe();
    if (moe != nullptr && moe->gate.kappa != 1) {
      plan.kappa.back().factor.assign(std::size_t(moe->router.experts), float(moe->gate.kappa));
    }
    return plan;
  }
  const KappaParameters& stored = model.kappa[layer];
  const std::int64_t slots = rule.side ? 1 : std::max(stored.bias_slots, stored.scale_slots);
  for (std::int64_t slot = 0; slot < slots; ++slot) {
    plan.kappa.push_back(kappa_plan(*spec, stored, slot, rule));
  }
  return plan;
}

KappaView KappaPlan::view() const {
  KappaView result;
  result.bias = bias.empty() ? nullptr : bias.data();
  result.scale = scale.empty() ? nullptr : scale.data();
  result.factor = factor.empty() ? nullptr : factor.data();
  result.expert_stride = expert_stride;
  result.gate_stride = gate_stride;
  result.scale_expert_stride = scale_expert_stride;
  result.scale_gate_stride = scale_gate_stride;
  result.log_bound = static_cast<float>(std::log(bound));
  // Without α nothing follows from z.
  result.from_gate = from_gate && result.scale != nullptr;
  return result;
}

std::int64_t LayerPlan::capacity_of_call(std::int64_t tokens) const {
  return capacity ? capacity_of(*capacity, slots, tokens, spec->moe()->router.experts) : -1;
}

SoftRule LayerPlan::soft_rule() const {
  const std::int64_t experts = spec->moe()->router.experts;
  SoftRule rule;
  rule.budget = soft->budget;
  rule.temperature = soft->temperature;
  rule.threshold = soft->threshold;
  if (soft->relative) { rule.relative = *soft->relative; }
  if (soft->expansion) {
    const double most = std::ceil(soft->budget * *soft->expansion);
    rule.most = std::int64_t(std::clamp(most, 1.0, double(experts)));
  }
  return rule;
}

}  // namespace kappascope
