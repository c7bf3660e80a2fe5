#include "core/stats/layer.h"

#include <algorithm>
#include <iterator>

#include "core/stats/mean.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {
namespace {

// The layer's own value of a per-layer array of model.npz; `fallback` where there is none.
std::int64_t own_size(const ModelParameters* model, std::span<const std::int32_t> sizes,
                      std::int64_t layer, std::int64_t fallback) {
  if (model == nullptr || layer < 0 || layer >= std::ssize(sizes)) { return fallback; }
  const std::int64_t size = sizes[layer];
  return size > 0 && size <= fallback ? size : fallback;
}

// Without model.npz: columns behind the last one that holds a number are padding.
std::int64_t columns_in_use(std::span<const float> logits, std::int64_t tokens,
                            std::int64_t columns) {
  if (logits.empty()) { return columns; }
  for (std::int64_t e = columns; e > 1; --e) {
    for (std::int64_t t = 0; t < tokens; ++t) {
      if (!std::isnan(logits[t * columns + e - 1])) { return e; }
    }
  }
  return columns;  // nothing but NaN: no reason to think that any of it is padding
}

}  // namespace

TraceLayer::TraceLayer(const Trace& trace_, std::int64_t row_, LayerTokens taken)
    : trace(trace_),
      row(row_),
      tokens(trace_.tokens),
      experts(trace_.experts),
      slots(trace_.slots),
      gates(trace_.gates),
      chosen_(slot_part(trace_.expert_index)),
      kept_(slot_part(trace_.expert_kept)),
      counted_(taken == LayerTokens::all ? std::span<const std::uint8_t>() : counted_mask(trace_)),
      entropy_(trace_.router_score ? token_part(trace_.router_entropy) : std::span<const float>()) {
  const auto at = static_cast<std::size_t>(row);
  if (!trace.layer_index.empty()) { layer = trace.layer_index[at]; }
  if (!trace.pass_index.empty()) { pass = trace.pass_index[at]; }
  const ModelParameters* model = trace.model.get();
  gates = own_size(model, model ? model->layer_gates : std::span<const std::int32_t>{}, layer,
                   trace.gates);
  if (trace.corpus) {
    experts = std::ssize(trace.corpus->rows[at].choices.assigned);
  } else if (model != nullptr && !model->layer_experts.empty()) {
    experts = own_size(model, model->layer_experts, layer, trace.experts);
  } else {
    experts = columns_in_use(part(trace.router_logits, tokens * trace.experts), tokens, experts);
  }
}

double TraceLayer::token_mean(std::span<const float> array) const {
  const std::span<const float> own = token_part(array);
  Mean mean;
  for (std::int64_t t = 0; t < std::ssize(own); ++t) {
    if (counts(t)) { mean.add(own[t]); }
  }
  return mean.value();
}

RowTokens row_tokens(const TraceLayer& layer) {
  const Trace& trace = layer.trace;
  RowTokens row{.tokens = layer.tokens, .experts = layer.experts, .slots = layer.slots};
  const auto entries = std::size_t(layer.tokens * layer.slots);
  row.expert.resize(entries);
  row.kept.resize(entries);
  for (std::size_t i = 0; i < entries; ++i) {
    row.expert[i] = std::int32_t(layer.expert(std::int64_t(i)));
    row.kept[i] = layer.kept(std::int64_t(i)) ? 1 : 0;
  }
  row.counted.resize(std::size_t(layer.tokens));
  for (std::size_t t = 0; t < row.counted.size(); ++t) {
    row.counted[t] = layer.router_finite(std::int64_t(t)) ? 1 : 0;
  }
  if (!layer.counted().empty()) { leave_out(row, layer.counted()); }
  const auto logits = layer.part(trace.router_logits, layer.tokens * trace.experts);
  row.logits = logits.empty() ? nullptr : logits.data();
  row.logit_stride = trace.experts;
  row.near_tie = trace.near_tie;
  const std::span<const float> arrays[] = {trace.router_top1_prob,
                                           trace.router_selected_mass,
                                           trace.router_margin,
                                           trace.router_top_gap,
                                           trace.router_entropy,
                                           trace.expert_weight,
                                           trace.kappa_input,
                                           trace.kappa_mean,
                                           trace.kappa_min,
                                           trace.kappa_max,
                                           trace.kappa_p05,
                                           trace.kappa_p95,
                                           trace.gate_mean_abs,
                                           trace.gate_active_fraction,
                                           trace.gate_top16_share,
                                           trace.gate_entropy,
                                           trace.gate_kz_rms,
                                           trace.gate_linear_fraction,
                                           trace.gate_saturated_fraction,
                                           trace.expert_output_norm,
                                           trace.gate_clamped_fraction};
  static_assert(std::size(arrays) == kRowNumbers.size());
  for (std::size_t i = 0; i < kRowNumbers.size(); ++i) {
    const auto values =
        kRowNumbers[i].of_slot ? layer.slot_part(arrays[i]) : layer.token_part(arrays[i]);
    row.numbers[i].first = values.empty() ? nullptr : values.data();
  }
  return row;
}

std::vector<double> relative_depth(const Trace& trace) {
  std::int64_t passes = 1, layers = std::max<std::int64_t>(trace.model_layers, 1);
  for (const std::int32_t pass : trace.pass_index) {
    passes = std::max(passes, std::int64_t{pass} + 1);
  }
  for (const std::int32_t layer : trace.layer_index) {
    layers = std::max(layers, std::int64_t{layer} + 1);
  }
  std::vector<double> depth;
  for (std::size_t row = 0; row < trace.layer_index.size(); ++row) {
    const std::int64_t pass = trace.pass_index.empty() ? 0 : trace.pass_index[row];
    const double place = static_cast<double>(pass * layers + trace.layer_index[row]);
    depth.push_back(passes * layers > 1 ? place / static_cast<double>(passes * layers - 1) : 0);
  }
  return depth;
}

}  // namespace kappascope
