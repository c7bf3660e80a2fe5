#include "core/stats/soft_routing.h"

#include <algorithm>

#include "core/stats/router.h"
#include "core/trace/corpus_totals.h"
#include "core/trace/meta.h"

namespace kappascope {
namespace {

// Σ over the rows of the parameters that run for a token on average, and those that always do; NaN
// where the meta does not know them or a layer is missing.
double active_parameters(const Trace& trace) {
  const Json* per_expert = meta_at(trace, "parameters", "per_expert");
  if (per_expert == nullptr || !per_expert->is_array()) { return kNaN; }
  double active = number_of(meta_at(trace, "parameters", "always"));
  std::size_t layers = 0, recorded = 0;
  for (const Json& one : *per_expert) { layers += number_of(&one) > 0; }
  for (std::int64_t row = 0; row < trace.layers && trace.pass_index[row] == 0; ++row, ++recorded) {
    const TraceLayer layer(trace, row);
    if (layer.layer < 0 || layer.layer >= std::ssize(*per_expert)) { return kNaN; }
    active += number_of(&(*per_expert)[layer.layer]) * experts_run(layer).mean;
  }
  return recorded == layers ? active : kNaN;
}

}  // namespace

BudgetSummary budget_summary(const Trace& trace) {
  BudgetSummary summary;
  if (trace.layer_budget.empty()) { return summary; }
  std::int64_t rows = 0;
  while (rows < trace.layers && trace.pass_index[rows] == 0) { ++rows; }
  double total = 0, last = 0, run = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    total += trace.layer_budget[row];
    if (3 * (2 * row + 1) > 4 * rows) { last += trace.layer_budget[row]; }  // its middle is there
    run += experts_run(TraceLayer(trace, row)).mean;
  }
  summary.total = total;
  summary.last_third = last / total;
  summary.experts_run = run / double(rows);
  summary.active_parameters = active_parameters(trace);
  return summary;
}

bool left_out_by_cap(std::span<const float> weights, float threshold, std::int64_t run) {
  return std::count_if(weights.begin(), weights.end(),
                       [&](float weight) { return weight > threshold; }) > run;
}

std::int64_t tokens_at_cap(const TraceLayer& layer) {
  const Trace& trace = layer.trace;
  if (trace.corpus) { return trace.corpus->rows[layer.row].tokens_at_cap; }
  const bool known = !trace.soft_weight.empty() && !trace.layer_threshold.empty();
  if (!known || trace.layer_cap.empty() || trace.layer_cap[layer.row] == 0) { return 0; }
  const float threshold = trace.layer_threshold[layer.row];
  const std::span<const float> weights =
      layer.part(trace.soft_weight, layer.tokens * trace.experts);
  std::int64_t count = 0;
  for (std::int64_t t = 0; t < layer.tokens; ++t) {
    if (!layer.counts(t)) { continue; }
    std::int64_t run = 0;
    for (std::int64_t k = 0; k < layer.slots; ++k) { run += layer.kept(t * layer.slots + k); }
    const auto own = weights.subspan(std::size_t(t * trace.experts), std::size_t(layer.experts));
    count += left_out_by_cap(own, threshold, run) ? 1 : 0;
  }
  return count;
}

}  // namespace kappascope
