#include "core/stats/lens.h"

#include <cmath>

#include "core/nan.h"

namespace kappascope {

LayerMap lens_probability(const Trace& trace) {
  LayerMap map{trace.lens_layers, trace.tokens, {}, true};
  for (const float logprob : trace.lens_logprob) { map.values.push_back(std::exp(logprob)); }
  return map;
}

LayerMap lens_place(const Trace& trace) {
  LayerMap map{trace.lens_layers, trace.tokens, {}, true};
  for (const std::int32_t rank : trace.lens_target_rank) {
    map.values.push_back(rank < 0 ? kNaN : float(rank) + 1);
  }
  return map;
}

std::vector<std::int64_t> recorded_rows_of_lens(const Trace& trace) {
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < trace.lens_layer_index.size(); ++i) {
    rows.push_back(-1);
    for (std::int64_t row = 0; row < trace.layers; ++row) {
      if (trace.layer_index[row] == trace.lens_layer_index[i] &&
          trace.pass_index[row] == trace.lens_pass_index[i]) {
        rows.back() = row;
      }
    }
  }
  return rows;
}

}  // namespace kappascope
