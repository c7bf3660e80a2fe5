#include "core/stats/learned_kappa.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "core/stats/mean.h"

namespace kappascope {
namespace {

// One set of α or b as a matrix: one row where experts share it, one column where gates do.
struct Values {
  std::int64_t experts = 0, gates = 0;
  std::vector<float> at;  // [experts,gates]; empty: none
};

Values values_of(const KappaParameters& kappa, const std::vector<float>& all, std::int64_t slots,
                 std::int64_t slot, const LayerSpec& layer) {
  if (all.empty()) { return {}; }
  const std::int64_t size = std::ssize(all) / slots;
  Values values;
  values.experts =
      kappa.expert_stride == 0 || layer.moe() == nullptr ? 1 : layer.moe()->router.experts;
  values.gates = kappa.gate_stride == 0 ? 1 : layer.gates();
  const std::int64_t first = std::min(slot, slots - 1) * size;
  for (std::int64_t e = 0; e < values.experts; ++e) {
    for (std::int64_t i = 0; i < values.gates; ++i) {
      values.at.push_back(all[first + e * kappa.expert_stride + i * kappa.gate_stride]);
    }
  }
  return values;
}

// Mean and population standard deviation of the finite ones among value(0) … value(count − 1).
template <typename Value>
std::pair<double, double> moments(std::int64_t count, Value&& value) {
  Mean mean, square;
  for (std::int64_t i = 0; i < count; ++i) { mean.add(value(i)); }
  const double middle = mean.value();
  for (std::int64_t i = 0; i < count; ++i) {
    const double distance = value(i) - middle;
    square.add(distance * distance);
  }
  return {middle, std::sqrt(square.value())};
}

ParameterNumbers numbers_of(const Values& values) {
  ParameterNumbers numbers;
  if (values.at.empty()) { return numbers; }
  std::tie(numbers.mean, numbers.std) =
      moments(std::ssize(values.at), [&](std::int64_t i) { return double(values.at[i]); });
  for (const float value : values.at) {
    if (!std::isfinite(value)) { continue; }
    if (!(value >= numbers.least)) { numbers.least = value; }
    if (!(value <= numbers.most)) { numbers.most = value; }
  }
  Mean experts, gates;
  for (std::int64_t i = 0; i < values.gates && values.experts > 1; ++i) {
    experts.add(moments(values.experts, [&](std::int64_t e) {
                  return double(values.at[e * values.gates + i]);
                }).second);
  }
  for (std::int64_t e = 0; e < values.experts && values.gates > 1; ++e) {
    gates.add(moments(values.gates, [&](std::int64_t i) {
                return double(values.at[e * values.gates + i]);
              }).second);
  }
  numbers.std_across_experts = experts.value();
  numbers.std_across_gates = gates.value();
  return numbers;
}

void relate(LearnedKappa& result, const Values& bias, const Values& scale) {
  if (bias.at.empty() || bias.at.size() != scale.at.size()) { return; }
  const double middle_b = result.bias.mean, middle_a = result.scale.mean;
  double ab = 0, aa = 0, cov = 0, var_a = 0, var_b = 0;
  for (std::size_t i = 0; i < bias.at.size(); ++i) {
    const double b = bias.at[i], a = scale.at[i];
    ab += a * b;
    aa += a * a;
    cov += (a - middle_a) * (b - middle_b);
    var_a += (a - middle_a) * (a - middle_a);
    var_b += (b - middle_b) * (b - middle_b);
  }
  if (bias.at.size() > 1 && var_a > 0 && var_b > 0) {
    result.pearson = cov / (std::sqrt(var_a) * std::sqrt(var_b));
  }
  if (!(aa > 0)) { return; }
  result.slope = ab / aa;
  Mean left, all;
  for (std::size_t i = 0; i < bias.at.size(); ++i) {
    const double b = bias.at[i], distance = b - result.slope * scale.at[i];
    left.add(distance * distance);
    all.add(b * b);
  }
  result.residual = std::sqrt(left.value());
  if (all.value() > 0) { result.residual_share = std::sqrt(left.value() / all.value()); }
}

}  // namespace

std::vector<LearnedKappa> learned_kappa(const Model& model) {
  std::vector<LearnedKappa> list;
  for (std::size_t l = 0; l < model.kappa.size(); ++l) {
    const KappaParameters& kappa = model.kappa[l];
    if (kappa.empty()) { continue; }
    const LayerSpec& layer = model.architecture.layers[l];
    for (std::int64_t slot = 0; slot < std::max(kappa.bias_slots, kappa.scale_slots); ++slot) {
      const Values bias = values_of(kappa, kappa.bias, kappa.bias_slots, slot, layer);
      const Values scale = values_of(kappa, kappa.scale, kappa.scale_slots, slot, layer);
      LearnedKappa one;
      one.layer = static_cast<std::int64_t>(l);
      one.slot = slot;
      one.moe = layer.moe() != nullptr;
      one.bias = numbers_of(bias);
      one.scale = numbers_of(scale);
      relate(one, bias, scale);
      list.push_back(one);
    }
  }
  return list;
}

}  // namespace kappascope
