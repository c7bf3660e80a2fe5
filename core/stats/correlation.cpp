#include "core/stats/correlation.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace kappascope {

std::vector<double> average_ranks(const std::vector<double>& values) {
  std::vector<std::pair<double, std::size_t>> order;  // values beside their places: sorted in cache
  order.reserve(values.size());
  for (const double value : values) { order.emplace_back(value, order.size()); }
  std::sort(order.begin(), order.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<double> ranks(values.size());
  for (std::size_t first = 0; first < order.size();) {
    std::size_t last = first;  // of the values equal to order[first]
    while (last + 1 < order.size() && order[last + 1].first == order[first].first) { ++last; }
    const double rank = static_cast<double>(first + last) / 2 + 1;
    for (; first <= last; ++first) { ranks[order[first].second] = rank; }
  }
  return ranks;
}

double spearman(const std::vector<double>& x, const std::vector<double>& y) {
  if (x.size() < 3 || x.size() != y.size()) { return kNaN; }
  const std::vector<double> a = average_ranks(x), b = average_ranks(y);
  const double middle = static_cast<double>(x.size() + 1) / 2;
  double aa = 0, bb = 0, ab = 0;
  for (std::size_t j = 0; j < a.size(); ++j) {
    aa += (a[j] - middle) * (a[j] - middle);
    bb += (b[j] - middle) * (b[j] - middle);
    ab += (a[j] - middle) * (b[j] - middle);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : kNaN;
}

namespace {

// visit(token, expert, mass, κ) for every point.
template <typename Visit>
void each_point(const TraceLayer& layer, Visit&& visit) {
  const auto kappa = layer.slot_part(layer.trace.kappa_mean);
  const auto mass = layer.token_part(layer.trace.router_selected_mass);
  if (kappa.empty() || mass.empty()) { return; }
  for (std::int64_t entry = 0; entry < layer.tokens * layer.slots; ++entry) {
    const std::int64_t t = entry / layer.slots;
    const double x = mass[t], y = kappa[entry];
    if (!layer.kept(entry) || !std::isfinite(x) || !std::isfinite(y)) { continue; }
    visit(t, layer.expert(entry), x, y);
  }
}

}  // namespace

std::int64_t confidence_points(const TraceLayer& layer) {
  std::int64_t count = 0;
  each_point(layer, [&](std::int64_t, std::int64_t, double, double) { ++count; });
  return count;
}

KappaConfidence kappa_confidence(const TraceLayer& layer) {
  KappaConfidence result;
  if (layer.trace.kappa_mean.empty() || layer.trace.router_selected_mass.empty()) { return result; }
  const auto experts = static_cast<std::size_t>(layer.experts);
  std::vector<std::vector<double>> own_mass(experts), own_kappa(experts);
  each_point(layer, [&](std::int64_t t, std::int64_t e, double x, double y) {
    result.token.push_back(t);
    result.expert.push_back(e);
    result.mass.push_back(x);
    result.kappa.push_back(y);
    own_mass[e].push_back(x);
    own_kappa[e].push_back(y);
  });
  result.rho = spearman(result.mass, result.kappa);
  double sum = 0, points = 0;
  for (std::size_t e = 0; e < experts; ++e) {
    const double rho = spearman(own_mass[e], own_kappa[e]);
    result.expert_rho.push_back(rho);
    result.expert_points.push_back(std::ssize(own_mass[e]));
    if (std::isnan(rho)) { continue; }
    sum += rho * static_cast<double>(own_mass[e].size());
    points += static_cast<double>(own_mass[e].size());
  }
  if (points > 0) { result.rho_within = sum / points; }
  return result;
}

}  // namespace kappascope
