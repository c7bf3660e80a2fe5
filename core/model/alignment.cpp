// Router–expert alignment from the weights alone (SPEC §5).
#include <algorithm>
#include <cmath>
#include <utility>

#include "core/model/alignment.h"
#include "core/nan.h"

namespace kappascope {
namespace {

constexpr std::int64_t kBlock = std::int64_t{1} << 20;  // weights widened to float32 at once

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) { sum += a[i] * b[i]; }
  return sum;
}

// What one pass over an expert's gate_proj [H,I] gives.
struct ColumnSums {
  std::vector<double> mean;    // [H] Σᵢ W[h,i] / I
  std::vector<double> router;  // [I] Σₕ w_g[h]·W[h,i]
  std::vector<double> square;  // [I] ‖cᵢ‖²
};

// Mean of the ⌈5 %⌉ smallest of some cosines, or with `largest` of the largest; NaN without any.
float tail_mean(std::vector<double> cosines, bool largest) {
  if (cosines.empty()) { return kNaN; }
  const std::size_t count = (cosines.size() + 19) / 20;
  std::sort(cosines.begin(), cosines.end());
  if (largest) { std::reverse(cosines.begin(), cosines.end()); }
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) { sum += cosines[i]; }
  return static_cast<float>(sum / static_cast<double>(count));
}

// Expert `e` of `gate` [E,H,I].
ColumnSums sum_columns(const TensorFile& file, const Stored& gate, std::int64_t e,
                       const std::vector<double>& router) {
  const std::int64_t hidden = gate.shape[1], gates = gate.shape[2];
  std::vector<float> whole(gate.as_it_is() ? 0 : std::size_t(hidden * gates));
  if (!whole.empty()) { read_matrix(file, gate, e, whole.data()); }
  ColumnSums sums{std::vector<double>(router.size()),
                  std::vector<double>(static_cast<std::size_t>(gates)),
                  std::vector<double>(static_cast<std::size_t>(gates))};
  const std::int64_t step = std::max<std::int64_t>(1, kBlock / gates);
  for (std::int64_t begin = 0; begin < hidden; begin += step) {
    const std::int64_t rows = std::min(step, hidden - begin);
    const std::vector<float> block =
        whole.empty() ? file.floats(*gate.tensor, (e * hidden + begin) * gates, rows * gates)
                      : std::vector<float>();
    const float* values = whole.empty() ? block.data() : whole.data() + begin * gates;
    for (std::int64_t row = 0; row < rows; ++row) {
      const auto h = static_cast<std::size_t>(begin + row);
      const float* weights = values + row * gates;
      double total = 0;
      for (std::size_t i = 0; i < sums.square.size(); ++i) {
        const double weight = weights[i];
        total += weight;
        sums.router[i] += router[h] * weight;
        sums.square[i] += weight * weight;
      }
      sums.mean[h] = total / static_cast<double>(gates);
    }
  }
  return sums;
}

}  // namespace

UnitAlignment unit_alignment(const Model& model, std::int64_t layer) {
  const TensorFile& file = *model.tensors;
  const TensorInfo& router = model.weights.required(Role::router, layer);
  const Stored& gate = *model.weights.find(Role::expert_gate, layer);
  const std::int64_t hidden = gate.shape[1], block = hidden * gate.shape[2];

  UnitAlignment alignment;
  for (std::int64_t e = 0; e < gate.shape[0]; ++e) {
    const std::vector<float> stored = file.floats(router, e * hidden, hidden);
    const std::vector<double> weights(stored.begin(), stored.end());
    const ColumnSums sums = sum_columns(file, gate, e, weights);

    // cos(w, m), m the mean column
    const double norm = std::sqrt(dot(weights, weights));
    const double mean_norm = std::sqrt(dot(sums.mean, sums.mean));
    const double mean_scale = norm * mean_norm;
    alignment.mean.push_back(
        static_cast<float>(mean_scale == 0 ? kNaN : dot(weights, sums.mean) / mean_scale));

    // Σⱼ cosⱼ‖cⱼ‖² / Σⱼ‖cⱼ‖² with cosⱼ = w·cⱼ / (‖w‖‖cⱼ‖); a zero column weighs nothing
    double weighted = 0, energy = 0;
    for (std::size_t i = 0; i < sums.square.size(); ++i) {
      weighted += sums.router[i] * std::sqrt(sums.square[i]);
      energy += sums.square[i];
    }
    const double energy_scale = norm * energy;
    alignment.energy.push_back(
        static_cast<float>(energy_scale == 0 ? kNaN : weighted / energy_scale));

    std::vector<double> cosines;
    for (std::size_t i = 0; i < sums.square.size(); ++i) {
      const double cosine = sums.router[i] / (norm * std::sqrt(sums.square[i]));
      if (std::isfinite(cosine)) { cosines.push_back(cosine); }
    }
    alignment.top5.push_back(tail_mean(cosines, true));
    alignment.bottom5.push_back(tail_mean(std::move(cosines), false));

    if (!gate.experts.empty()) {
      file.release(*gate.experts[e]);
    } else if (gate.as_it_is()) {
      const auto bytes = static_cast<std::uint64_t>(block) * dtype_bytes(gate.tensor->dtype);
      file.release(*gate.tensor, static_cast<std::uint64_t>(e) * bytes, bytes);
    }
  }
  return alignment;
}

Alignment router_alignment(const Model& model, std::int64_t layer) {
  return unit_alignment(model, layer);
}

}  // namespace kappascope
