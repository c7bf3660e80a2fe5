#include "core/stats/router.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/trace/corpus_totals.h"

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

// Rank `rank` of values 0, 1, 2 … of which there are so many each.
double ranked(const std::vector<std::int64_t>& counts, std::int64_t rank) {
  std::size_t value = 0;
  while (value + 1 < counts.size() && rank >= counts[value]) { rank -= counts[value++]; }
  return double(value);
}

}  // namespace

double unused_by_chance(std::int64_t experts, std::int64_t slots, std::int64_t tokens) {
  const double missed = 1 - static_cast<double>(slots) / static_cast<double>(experts);
  return static_cast<double>(experts) * std::pow(missed, static_cast<double>(tokens));
}

ChoiceTotals choice_totals(const TraceLayer& layer) {
  if (layer.trace.corpus) { return layer.trace.corpus->rows[layer.row].choices; }
  ChoiceTotals choices;
  choices.add(row_tokens(layer));
  return choices;
}

ExpertLoads expert_loads(const ChoiceTotals& choices) {
  ExpertLoads result;
  const auto width = double(choices.assigned.size());
  const auto tokens = double(choices.tokens);
  result.tokens = choices.tokens;
  result.assigned = choices.assigned;
  result.unused = std::count(choices.assigned.begin(), choices.assigned.end(), 0);
  for (const Sum& mass : choices.gate_mass) { result.gate_mass.push_back(mass.value() / tokens); }
  double missed = 1;  // Π_t (1 − k_t/E)
  for (std::size_t k = 1; k < choices.tokens_by_assigned.size(); ++k) {
    missed *= std::pow(1 - double(k) / width, double(choices.tokens_by_assigned[k]));
  }
  if (choices.tokens > 0) { result.unused_by_chance = width * missed; }
  const auto all = std::accumulate(result.assigned.begin(), result.assigned.end(), std::int64_t{0});
  result.load.assign(result.assigned.size(), kNaN);
  if (all == 0) { return result; }
  for (std::size_t e = 0; e < result.load.size(); ++e) {
    result.load[e] = double(result.assigned[e]) / double(all);
  }
  result.entropy = entropy_of(result.load);
  result.cv = variation_of(result.load);
  result.effective = std::exp(result.entropy * std::log(width));
  result.max_vio = width * *std::max_element(result.load.begin(), result.load.end()) - 1;
  return result;
}

ExpertLoads expert_loads(const TraceLayer& layer) {
  return expert_loads(choice_totals(layer));
}

DropRates drop_rates(const ChoiceTotals& choices) {
  const auto rate = [](std::int64_t part, std::int64_t whole) {
    return whole > 0 ? double(part) / double(whole) : kNaN;
  };
  const auto sum = [](const std::vector<std::int64_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  };
  DropRates result;
  for (std::size_t k = 0; k < choices.assigned_by_slot.size(); ++k) {
    result.by_slot.push_back(rate(choices.dropped_by_slot[k], choices.assigned_by_slot[k]));
  }
  result.all = rate(sum(choices.dropped_by_slot), sum(choices.assigned_by_slot));
  if (!choices.tokens_by_run.empty()) {
    result.no_expert = rate(choices.tokens_by_run.front(), choices.tokens);
  }
  return result;
}

DropRates drop_rates(const TraceLayer& layer) {
  return drop_rates(choice_totals(layer));
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

Band experts_run(const ChoiceTotals& choices) {
  Band band;
  if (choices.tokens == 0) { return band; }
  double run = 0;
  for (std::size_t k = 0; k < choices.tokens_by_run.size(); ++k) {
    run += double(k) * double(choices.tokens_by_run[k]);
  }
  const auto quantile = [&](double q) {
    const QuantilePlace place(choices.tokens, q);
    return place.between(ranked(choices.tokens_by_run, place.lower),
                         ranked(choices.tokens_by_run, place.upper));
  };
  band.mean = run / double(choices.tokens);
  band.p05 = quantile(0.05);
  band.p50 = quantile(0.5);
  band.p95 = quantile(0.95);
  return band;
}

Band experts_run(const TraceLayer& layer) {
  return experts_run(choice_totals(layer));
}

std::vector<float> router_probability(const TraceLayer& layer) {
  const std::int64_t stride = layer.trace.experts;
  const std::span<const float> logits =
      layer.part(layer.trace.router_logits, layer.tokens * stride);
  if (logits.empty()) { return {}; }
  std::vector<float> result(static_cast<std::size_t>(layer.experts * layer.tokens), kNaN);
  if (!layer.trace.router_score) { return result; }
  std::vector<double> power(static_cast<std::size_t>(layer.experts));
  for (std::int64_t t = 0; t < layer.tokens; ++t) {
    const auto row = logits.subspan(static_cast<std::size_t>(t * stride), power.size());
    const double best = *std::max_element(row.begin(), row.end());
    const bool sigmoid = *layer.trace.router_score == RouterScore::sigmoid;
    double sum = 0;
    for (std::size_t e = 0; e < power.size(); ++e) {
      sum += power[e] = sigmoid ? 1 / (1 + std::exp(-double(row[e]))) : std::exp(row[e] - best);
    }
    for (std::size_t e = 0; e < power.size(); ++e) {
      result[e * layer.tokens + t] = static_cast<float>(power[e] / sum);
    }
  }
  return result;
}

}  // namespace kappascope
