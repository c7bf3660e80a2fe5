#include "core/trace/in_force.h"

#include <algorithm>

#include "core/nan.h"

namespace kappascope {
namespace {

constexpr std::string_view kBias = "kappa_bias_in_force", kScale = "kappa_scale_in_force",
                           kFactor = "kappa_factor";

std::size_t rank_of(std::int64_t expert_stride, std::int64_t gate_stride) {
  return gate_stride != 0 ? 3 : expert_stride != 0 ? 2 : 1;
}

}  // namespace

ParametersInForce::ParametersInForce(const Model& model, const RunPlan& plan,
                                     const std::vector<std::int64_t>& layers)
    : experts_(model.architecture.most_experts()), gates_(model.architecture.most_gates(true)) {
  if (!plan.kappa) { return; }  // κ = 1 throughout: the meta says so
  bool bias = false, scale = false, factor = false;
  for (std::int64_t pass = 0; pass < plan.passes; ++pass) {
    for (const std::int64_t layer : layers) {
      const LayerPlan& planned = plan.layers[layer];
      const KappaPlan& kappa = plan.kappa_of(layer, pass);
      const MoeSpec& moe = *planned.spec->moe();
      rows_.push_back({&kappa, moe.router.experts, moe.gates});
      bias = bias || planned.bias_edited;
      scale = scale || planned.scale_edited;
      factor = factor || planned.factor_edited;
      bias_rank_ = std::max(bias_rank_, rank_of(kappa.expert_stride, kappa.gate_stride));
      scale_rank_ =
          std::max(scale_rank_, rank_of(kappa.scale_expert_stride, kappa.scale_gate_stride));
    }
  }
  if (!bias) { bias_rank_ = 0; }
  if (!scale) { scale_rank_ = 0; }
  factor_rank_ = factor ? 2 : 0;
}

std::size_t ParametersInForce::rank(std::string_view array) const {
  return array == kBias     ? bias_rank_
         : array == kScale  ? scale_rank_
         : array == kFactor ? factor_rank_
                            : 0;
}

// One row of an array, padded with NaN; layers without learned κ have none of b and α.
std::vector<float> ParametersInForce::values_of(const Row& row, std::string_view array) const {
  const std::size_t axes = rank(array);
  const std::int64_t experts = axes >= 2 ? experts_ : 1, gates = axes == 3 ? gates_ : 1;
  const KappaPlan& kappa = *row.kappa;
  std::vector<float> values(std::size_t(experts * gates), kNaN);
  const bool bias = array == kBias, factor = array == kFactor;
  const std::vector<float>& from = factor ? kappa.factor : bias ? kappa.bias : kappa.scale;
  const std::int64_t expert_stride = factor ? 1
                                     : bias ? kappa.expert_stride
                                            : kappa.scale_expert_stride;
  const std::int64_t gate_stride = factor ? 0 : bias ? kappa.gate_stride : kappa.scale_gate_stride;
  const float none = factor ? 1.0f : 0.0f;  // κ := V leaves b = 0, α = 0
  const double unit = factor ? 1 : kappa.multiplier;
  for (std::int64_t e = 0; e < std::min(experts, row.experts); ++e) {
    for (std::int64_t i = 0; i < std::min(gates, row.gates); ++i) {
      const float value = from.empty() ? none : from[e * expert_stride + i * gate_stride];
      values[e * gates + i] = unit == 1 ? value : float(value / unit);
    }
  }
  return values;
}

std::map<std::string, std::vector<float>> ParametersInForce::all() const {
  std::map<std::string, std::vector<float>> arrays;
  for (const std::string_view array : {kBias, kScale, kFactor}) {
    if (rank(array) == 0) { continue; }
    std::vector<float>& all = arrays[std::string(array)];
    for (const Row& row : rows_) {
      const std::vector<float> values = values_of(row, array);
      all.insert(all.end(), values.begin(), values.end());
    }
  }
  return arrays;
}

void ParametersInForce::write(NpzWriter& writer) const {
  for (const auto& [array, values] : all()) {
    writer.write(array, 0, std::as_bytes(std::span(values)));
  }
}

}  // namespace kappascope
