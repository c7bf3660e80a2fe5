#include "core/stats/maps.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "core/nan.h"
#include "core/stats/each_layer.h"
#include "core/stats/kappa.h"
#include "core/stats/kappa_corpus.h"
#include "core/stats/layer.h"
#include "core/stats/mean.h"
#include "core/stats/router.h"

namespace kappascope {
namespace {

LayerMap empty_map(const Trace& trace, std::int64_t columns, std::int64_t only = -1) {
  LayerMap map{only < 0 ? trace.layers : 1, columns, {}, true};
  map.values.assign(static_cast<std::size_t>(map.rows * columns), kNaN);
  return map;
}

// Weighted mean over the kept slots of every token; value(entry) may be NaN.
template <typename Value>
void fill_token_row(const TraceLayer& layer, Value&& value, std::span<float> row) {
  const std::span<const float> weights = layer.slot_part(layer.trace.expert_weight);
  for (std::int64_t t = 0; t < layer.tokens; ++t) {
    double sum = 0, mass = 0;
    for (std::int64_t entry = t * layer.slots; entry < (t + 1) * layer.slots; ++entry) {
      if (!layer.kept(entry)) { continue; }
      const double weight = weights[entry], x = value(entry);
      if (!std::isfinite(weight * x)) { continue; }
      sum += weight * x;
      mass += weight;
    }
    if (mass > 0) { row[t] = static_cast<float>(sum / mass); }
  }
}

// Mean over the kept tokens of every expert.
template <typename Value>
void fill_expert_row(const TraceLayer& layer, Value&& value, std::span<float> row) {
  std::vector<Mean> means(static_cast<std::size_t>(layer.experts));
  for (std::int64_t entry = 0; entry < layer.tokens * layer.slots; ++entry) {
    if (layer.kept(entry)) { means[layer.expert(entry)].add(value(entry)); }
  }
  for (std::size_t e = 0; e < means.size(); ++e) { row[e] = static_cast<float>(means[e].value()); }
}

std::span<float> row_of(LayerMap& map, std::int64_t row) {
  return std::span(map.values)
      .subspan(static_cast<std::size_t>(row * map.columns), static_cast<std::size_t>(map.columns));
}

// fill(layer, row) for every recorded layer and its row of the map, or for the only one; rows at a
// time. A map of tokens shows all of them, one of experts those that count.
template <typename Fill>
void each_row(const Trace& trace, LayerMap& map, std::int64_t only, LayerTokens tokens, Fill&& fill,
              Progress* progress = nullptr) {
  for_each_layer(map.rows, progress, [&](std::int64_t row) {
    fill(TraceLayer(trace, only < 0 ? row : only, tokens), row_of(map, row));
  });
}

// exp of what fill(layer, value, row) makes of ln κ.
template <typename Fill>
LayerMap kappa_map(const Trace& trace, std::int64_t columns, std::int64_t only, LayerTokens tokens,
                   Progress* progress, Fill&& fill) {
  LayerMap map = empty_map(trace, columns, only);
  std::atomic<bool> exact = true;
  const auto fill_row = [&](const TraceLayer& layer, std::span<float> row) {
    const SlotLogKappa logs = slot_log_kappa(layer, kappa_function(layer));
    if (!logs.exact) { exact = false; }
    const auto value = [&](std::int64_t entry) { return logs.value[entry]; };
    fill(layer, value, row);
    for (float& mean : row) { mean = std::exp(mean); }
  };
  each_row(trace, map, only, tokens, fill_row, progress);
  map.exact = exact;
  return map;
}

// Of a corpus.
LayerMap corpus_expert_kappa(const Trace& trace) {
  LayerMap map = empty_map(trace, trace.experts);
  each_row(trace, map, -1, LayerTokens::counted,
           [&](const TraceLayer& layer, std::span<float> row) {
             const KappaFunction kappa = kappa_function(layer);
             for (std::int64_t e = 0; e < layer.experts; ++e) {
               row[e] = float(std::exp(corpus_log_kappa(layer, kappa, e)));
             }
           });
  return map;
}

// [M,E] share(loads, e) times the layer's E.
template <typename Share>
LayerMap over_even_share(const Trace& trace, Share&& shares_of) {
  LayerMap map = empty_map(trace, trace.experts);
  each_row(trace, map, -1, LayerTokens::counted,
           [&](const TraceLayer& layer, std::span<float> row) {
             const std::vector<double> shares = shares_of(expert_loads(layer));
             double sum = 0;
             for (const double share : shares) { sum += share; }
             for (std::size_t e = 0; e < shares.size(); ++e) {
               row[e] = static_cast<float>(shares[e] / sum * static_cast<double>(layer.experts));
             }
           });
  return map;
}

}  // namespace

LayerMap layer_token_values(const Trace& trace, std::span<const float> array, std::int64_t only) {
  LayerMap map = empty_map(trace, trace.tokens, only);
  if (array.empty()) { return map; }
  each_row(trace, map, only, LayerTokens::all, [&](const TraceLayer& layer, std::span<float> row) {
    const std::span<const float> own = layer.token_part(array);
    std::copy(own.begin(), own.end(), row.begin());
  });
  return map;
}

LayerMap layer_token_mean(const Trace& trace, std::span<const float> array, std::int64_t only) {
  LayerMap map = empty_map(trace, trace.tokens, only);
  if (array.empty()) { return map; }
  each_row(trace, map, only, LayerTokens::all, [&](const TraceLayer& layer, std::span<float> row) {
    const std::span<const float> own = layer.slot_part(array);
    fill_token_row(layer, [&](std::int64_t entry) { return own[entry]; }, row);
  });
  return map;
}

LayerMap layer_expert_mean(const Trace& trace, std::span<const float> array) {
  LayerMap map = empty_map(trace, trace.experts);
  if (array.empty()) { return map; }
  each_row(trace, map, -1, LayerTokens::counted,
           [&](const TraceLayer& layer, std::span<float> row) {
             const std::span<const float> own = layer.slot_part(array);
             fill_expert_row(layer, [&](std::int64_t entry) { return own[entry]; }, row);
           });
  return map;
}

LayerMap layer_token_kappa(const Trace& trace, std::int64_t only, Progress* progress) {
  return kappa_map(
      trace, trace.tokens, only, LayerTokens::all, progress,
      [](const TraceLayer& layer, auto&& value, auto row) { fill_token_row(layer, value, row); });
}

LayerMap layer_expert_kappa(const Trace& trace, Progress* progress) {
  if (trace.corpus) { return corpus_expert_kappa(trace); }
  return kappa_map(
      trace, trace.experts, -1, LayerTokens::counted, progress,
      [](const TraceLayer& layer, auto&& value, auto row) { fill_expert_row(layer, value, row); });
}

LayerMap relative_load(const Trace& trace) {
  return over_even_share(trace, [](const ExpertLoads& loads) { return loads.load; });
}

LayerMap relative_gate_mass(const Trace& trace) {
  return over_even_share(trace, [](const ExpertLoads& loads) { return loads.gate_mass; });
}

LayerMap dropped_slots(const Trace& trace, std::int64_t only) {
  LayerMap map = empty_map(trace, trace.tokens, only);
  each_row(trace, map, only, LayerTokens::all, [](const TraceLayer& layer, std::span<float> row) {
    for (std::int64_t entry = 0; entry < layer.tokens * layer.slots; ++entry) {
      float& count = row[entry / layer.slots];
      if (std::isnan(count)) { count = 0; }
      if (layer.expert(entry) >= 0 && !layer.kept(entry)) { count += 1; }
    }
  });
  return map;
}

std::vector<float> over_layers(const LayerMap& map, OverLayers over) {
  std::vector<float> result;
  for (std::int64_t column = 0; column < map.columns; ++column) {
    Mean mean;
    double least = std::numeric_limits<double>::infinity();
    for (std::int64_t row = 0; row < map.rows; ++row) {
      const double value = map.values[row * map.columns + column];
      mean.add(over == OverLayers::geometric_mean ? std::log(value) : value);
      if (std::isfinite(value)) { least = std::min(least, value); }
    }
    const double value = over == OverLayers::geometric_mean ? std::exp(mean.value())
                         : over == OverLayers::least        ? least
                         : over == OverLayers::sum          ? mean.sum
                                                            : mean.value();
    result.push_back(mean.count > 0 ? static_cast<float>(value) : kNaN);
  }
  return result;
}

std::vector<double> running_mean(std::span<const float> values, std::int64_t window) {
  const std::int64_t n = std::ssize(values);
  // Sums of everything before a place: any window is a difference of two.
  std::vector<double> sum(static_cast<std::size_t>(n) + 1, 0);
  std::vector<std::int64_t> count(sum.size(), 0);
  for (std::size_t t = 0; t < values.size(); ++t) {
    const bool finite = std::isfinite(values[t]);
    sum[t + 1] = sum[t] + (finite ? values[t] : 0);
    count[t + 1] = count[t] + (finite ? 1 : 0);
  }
  std::vector<double> result;
  for (std::int64_t t = 0; t < n; ++t) {
    const auto first = static_cast<std::size_t>(std::max<std::int64_t>(0, t - window / 2));
    const auto last = static_cast<std::size_t>(std::min(n, t - window / 2 + window));
    const std::int64_t number = count[last] - count[first];
    result.push_back(number > 0 ? (sum[last] - sum[first]) / static_cast<double>(number) : kNaN);
  }
  return result;
}

}  // namespace kappascope
