#include "core/model/architecture.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace kappascope {
namespace {

template <typename Enum, std::size_t N>
std::string_view name_of(Enum value, const std::array<std::string_view, N>& names) {
  const auto at = static_cast<std::size_t>(value);
  require(at < N, ExitCode::internal, {}, "an enumerator without a name");
  return names[at];
}

}  // namespace

std::string_view name(KappaInput input) {
  return name_of<KappaInput, 4>(input, {"router_probs", "top_logits", "constant", "gate_proj"});
}
std::string_view name(Granularity granularity) {
  return name_of<Granularity, 4>(granularity, {"per-gate", "per-expert", "per-layer", "global"});
}
std::string_view name(KappaFormula formula) {
  return name_of<KappaFormula, 4>(formula, {"2026-06", "2026-05-31", "2026-05", "2026-05-20"});
}
std::string_view name(KappaSide side) {
  return name_of<KappaSide, 2>(side, {"base", "sft"});
}
std::string_view name(SftKappa reading) {
  return name_of<SftKappa, 2>(reading, {"residual", "independent"});
}

std::int64_t capacity_of(const CapacityRule& rule, std::int64_t slots, std::int64_t tokens,
                         std::int64_t experts) {
  // ((K·factor)·T)/E in double, in this order: another one may round across a whole number.
  const double share = static_cast<double>(slots) * rule.factor * static_cast<double>(tokens) /
                       static_cast<double>(experts);
  // No expert is chosen more than `tokens` times, so a bound far above is as good as none.
  constexpr double kTop = 4.0e18;
  std::int64_t capacity = static_cast<std::int64_t>(std::min(share, kTop));
  capacity += capacity % 2;
  return std::max(capacity, rule.minimum);
}

const KappaSpec* LayerSpec::kappa() const {
  return std::visit([](const auto& part) { return part.kappa ? &*part.kappa : nullptr; },
                    feed_forward);
}
std::int64_t LayerSpec::gates() const {
  return std::visit([](const auto& part) { return part.gates; }, feed_forward);
}
bool LayerSpec::gated() const {
  return moe() != nullptr || dense()->gated();
}

bool Architecture::has_kappa() const {
  return kappa_start() >= 0;
}
const LayerSpec* Architecture::first_moe() const {
  const auto found = std::find_if(layers.begin(), layers.end(),
                                  [](const LayerSpec& layer) { return layer.moe() != nullptr; });
  return found == layers.end() ? nullptr : &*found;
}
const KappaSpec* Architecture::first_kappa(bool moe) const {
  for (const LayerSpec& layer : layers) {
    if ((layer.moe() != nullptr) == moe && layer.kappa() != nullptr) { return layer.kappa(); }
  }
  return nullptr;
}
std::int64_t Architecture::kappa_start() const {
  const auto found = std::find_if(layers.begin(), layers.end(),
                                  [](const LayerSpec& layer) { return layer.kappa() != nullptr; });
  return found == layers.end() ? -1 : found - layers.begin();
}
std::int64_t Architecture::most_experts() const {
  std::int64_t most = 0;
  for (const LayerSpec& layer : layers) {
    if (layer.moe() != nullptr) { most = std::max(most, layer.moe()->router.experts); }
  }
  return most;
}
std::int64_t Architecture::most_slots() const {
  std::int64_t most = 0;
  for (const LayerSpec& layer : layers) {
    if (layer.moe() != nullptr) { most = std::max(most, layer.moe()->router.slots); }
  }
  return most;
}
std::int64_t Architecture::most_shared_gates() const {
  std::int64_t most = 0;
  for (const LayerSpec& layer : layers) {
    if (layer.moe() && layer.moe()->shared) { most = std::max(most, layer.moe()->shared->gates); }
  }
  return most;
}
std::int64_t Architecture::most_gates(bool moe) const {
  std::int64_t most = 0;
  for (const LayerSpec& layer : layers) {
    if ((layer.moe() != nullptr) == moe && layer.gated()) { most = std::max(most, layer.gates()); }
  }
  return most;
}

}  // namespace kappascope
