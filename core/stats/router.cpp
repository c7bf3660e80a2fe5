#include "core/stats/router.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace kappascope {
namespace {

double entropy_of(const std::vector<double>& shares) {
  if (shares.size() == 1) { return 0; }
  double sum = 0;
  for (const double share : shares) {
    if (share > 0) { sum -= share * std::log(share); }
  }
  return sum / std::log(static_cast<double>(shares.size()));
}

double variation_of(const std::vector<double>& shares) {
  const double mean = 1 / static_cast<double>(shares.size());
  double square = 0;
  for (const double share : shares) { square += (share - mean) * (share - mean); }
  return std::sqrt(square * mean) / mean;
}

// Experts that ran for a token.
std::int64_t run_for(const TraceLayer& layer, std::int64_t t) {
  std::int64_t run = 0;
  for (std::int64_t k = 0; k < layer.slots; ++k) { run += layer.kept(t * layer.slots + k) ? 1 : 0; }
  return run;
}

}  // namespace

double unused_by_chance(std::int64_t experts, std::int64_t slots, std::int64_t tokens) {
  const double missed = 1 - static_cast<double>(slots) / static_cast<double>(experts);
  return static_cast<double>(experts) * std::pow(missed, static_cast<double>(tokens));
}

ExpertLoads expert_loads(const TraceLayer& layer) {
  ExpertLoads result;
  const auto experts = static_cast<std::size_t>(layer.experts);
  const auto width = static_cast<double>(layer.experts);
  const std::span<const float> weight = layer.slot_part(layer.trace.expert_weight);
  result.assigned.assign(experts, 0);
  result.gate_mass.assign(experts, 0);
  std::int64_t all = 0;
  double missed = 1;  // Π_t (1 − k_t/E)
  for (std::int64_t t = 0; t < layer.tokens; ++t) {
    if (!layer.router_finite(t)) { continue; }
    ++result.tokens;
    std::int64_t chosen = 0;
    for (std::int64_t entry = t * layer.slots; entry < (t + 1) * layer.slots; ++entry) {
      const std::int64_t e = layer.expert(entry);
      if (e < 0) { continue; }
      ++chosen;
      ++result.assigned[e];
      result.gate_mass[e] += weight[entry];
    }
    all += chosen;
    missed *= 1 - static_cast<double>(chosen) / width;
  }
  result.unused = std::count(result.assigned.begin(), result.assigned.end(), 0);
  if (result.tokens > 0) { result.unused_by_chance = width * missed; }
  for (double& mass : result.gate_mass) { mass /= static_cast<double>(result.tokens); }
  result.load.assign(experts, kNaN);
  if (all == 0) { return result; }
  for (std::size_t e = 0; e < experts; ++e) {
    result.load[e] = static_cast<double>(result.assigned[e]) / static_cast<double>(all);
  }
  result.entropy = entropy_of(result.load);
  result.cv = variation_of(result.load);
  result.effective = std::exp(result.entropy * std::log(width));
  result.max_vio = width * *std::max_element(result.load.begin(), result.load.end()) - 1;
  return result;
}

DropRates drop_rates(const TraceLayer& layer) {
  const auto slots = static_cast<std::size_t>(layer.slots);
  std::vector<std::int64_t> assigned(slots, 0), dropped(slots, 0);
  std::int64_t tokens = 0, without = 0;
  for (std::int64_t t = 0; t < layer.tokens; ++t) {
    if (!layer.router_finite(t)) { continue; }
    ++tokens;
    without += run_for(layer, t) == 0 ? 1 : 0;
  }
  for (std::int64_t entry = 0; entry < layer.tokens * layer.slots; ++entry) {
    if (layer.expert(entry) < 0 || !layer.router_finite(entry / layer.slots)) { continue; }
    const auto k = static_cast<std::size_t>(entry % layer.slots);
    ++assigned[k];
    if (!layer.kept(entry)) { ++dropped[k]; }
  }
  const auto rate = [](std::int64_t part, std::int64_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : kNaN;
  };
  DropRates result;
  for (std::size_t k = 0; k < slots; ++k) {
    result.by_slot.push_back(rate(dropped[k], assigned[k]));
  }
  result.all = rate(std::accumulate(dropped.begin(), dropped.end(), std::int64_t{0}),
                    std::accumulate(assigned.begin(), assigned.end(), std::int64_t{0}));
  result.no_expert = rate(without, tokens);
  return result;
}

std::vector<std::int64_t> most_loaded_experts(const ExpertLoads& loads, std::int64_t count) {
  std::vector<std::int64_t> order(loads.assigned.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return loads.assigned[a] > loads.assigned[b];
  });
  if (count < std::ssize(order)) { order.resize(static_cast<std::size_t>(count)); }
  return order;
}

Band experts_run(const TraceLayer& layer) {
  std::vector<float> counts;
  Mean mean;
  for (std::int64_t t = 0; t < layer.tokens; ++t) {
    if (!layer.router_finite(t)) { continue; }
    const std::int64_t run = run_for(layer, t);
    counts.push_back(static_cast<float>(run));
    mean.add(static_cast<double>(run));
  }
  std::sort(counts.begin(), counts.end());
  return {mean.value(), sorted_quantile(counts, 0.05), sorted_quantile(counts, 0.5),
          sorted_quantile(counts, 0.95)};
}

std::vector<float> router_probability(const TraceLayer& layer) {
  const std::int64_t stride = layer.trace.experts;
  const std::span<const float> logits =
      layer.part(layer.trace.router_logits, layer.tokens * stride);
  if (logits.empty()) { return {}; }
  std::vector<float> result(static_cast<std::size_t>(layer.experts * layer.tokens));
  std::vector<double> power(static_cast<std::size_t>(layer.experts));
  for (std::int64_t t = 0; t < layer.tokens; ++t) {
    const auto row = logits.subspan(static_cast<std::size_t>(t * stride), power.size());
    const double best = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (std::size_t e = 0; e < power.size(); ++e) { sum += power[e] = std::exp(row[e] - best); }
    for (std::size_t e = 0; e < power.size(); ++e) {
      result[e * layer.tokens + t] = static_cast<float>(power[e] / sum);
    }
  }
  return result;
}

}  // namespace kappascope
