#include "core/figure/token_quantities.h"

#include <algorithm>

#include "core/error.h"
#include "core/figure/empty_cells.h"
#include "core/figure/parts.h"
#include "core/figure/scales.h"
#include "core/stats/maps.h"

namespace kappascope {
namespace {

using Layers = TokenQuantity::Layers;

// The layer asked for, or all layers in one row.
std::vector<float> in_one_row(LayerMap map, OverLayers over) {
  return map.rows == 1 ? std::move(map.values) : over_layers(map, over);
}

void router_values(TokenColouring& result, const Trace& trace, std::span<const float> array,
                   std::int64_t row, OverLayers over) {
  result.values = in_one_row(layer_token_values(trace, array, row), over);
}

void fill_nll(TokenColouring& result, const Trace& trace, std::int64_t, std::int64_t) {
  result.colours = nll_colours();
  result.values.assign(trace.nll.begin(), trace.nll.end());
}

void fill_confidence(TokenColouring& result, const Trace& trace, std::int64_t row, std::int64_t) {
  result.colours = confidence_colours();
  router_values(result, trace, trace.router_top1_prob, row, OverLayers::mean);
}

void fill_margin(TokenColouring& result, const Trace& trace, std::int64_t row, std::int64_t) {
  LayerMap map = layer_token_values(trace, trace.router_margin, row);
  result.colours = margin_colours(trace);
  result.colours.no_value = empty_margin_cells(trace, map, row);
  result.values = in_one_row(std::move(map), OverLayers::least);
}

void fill_entropy(TokenColouring& result, const Trace& trace, std::int64_t row, std::int64_t) {
  result.colours = entropy_colours();
  router_values(result, trace, trace.router_entropy, row, OverLayers::mean);
}

void fill_kappa(TokenColouring& result, const Trace& trace, std::int64_t row, std::int64_t) {
  LayerMap map = layer_token_kappa(trace, row);
  result.exact = map.exact;
  result.colours = token_kappa_colours(map.exact);
  result.colours.no_value = empty_slot_cells(trace, map, row);
  result.values = in_one_row(std::move(map), OverLayers::geometric_mean);
}

void fill_sharpness(TokenColouring& result, const Trace& trace, std::int64_t row, std::int64_t) {
  result.colours = sharpness_colours();
  LayerMap map = layer_token_mean(trace, trace.gate_kz_rms, row);
  result.colours.no_value = empty_slot_cells(trace, map, row);
  result.values = in_one_row(std::move(map), OverLayers::mean);
}

void fill_expert(TokenColouring& result, const Trace& trace, std::int64_t row, std::int64_t slot) {
  result.colours = expert_colours(trace);
  const TraceLayer layer(trace, row, LayerTokens::all);
  for (std::int64_t t = 0; t < layer.tokens; ++t) {
    const std::int64_t e = layer.expert(t * layer.slots + slot);
    result.values.push_back(expert_value(layer.router_finite(t) ? e : -1));
  }
}

void fill_dropped(TokenColouring& result, const Trace& trace, std::int64_t row, std::int64_t) {
  result.values = in_one_row(dropped_slots(trace, row), OverLayers::sum);
  double most = static_cast<double>(trace.slots);
  for (const float value : result.values) { most = std::max<double>(most, value); }
  result.colours = dropped_colours(most);
  if (row < 0) { result.colours.high_note = "often dropped"; }
}

constexpr TokenQuantity kQuantities[] = {
    {"nll", "negative log-likelihood", Layers::none, false, "nll", fill_nll},
    {"confidence", "confidence of the router", Layers::either, false, "router_top1_prob",
     fill_confidence},
    {"margin", "margin of the choice of experts", Layers::either, false, "router_margin",
     fill_margin},
    {"entropy", "entropy of the router", Layers::either, false, "router_entropy", fill_entropy},
    {"kappa", "sharpness κ", Layers::either, false, "kappa_log_mean", fill_kappa},
    {"sharpness", "effective sharpness of the gates", Layers::either, false, "gate_kz_rms",
     fill_sharpness},
    {"expert", "chosen expert", Layers::one, true, "load", fill_expert},
    {"dropped", "dropped assignments", Layers::either, false, "drop_rate", fill_dropped},
};

const TokenQuantity& quantity_called(std::string_view id) {
  std::string known;
  for (const TokenQuantity& quantity : kQuantities) {
    if (quantity.id == id) { return quantity; }
    known += (known.empty() ? "" : ", ") + std::string(quantity.id);
  }
  fail(ExitCode::usage, {}, "tokens have no colour '", id, "'; expected one of ", known);
}

void require_place(const Trace& trace, const TokenQuantity& quantity, std::int64_t row,
                   std::int64_t slot) {
  const std::string path = trace.path.string();
  if (quantity.layers != Layers::none) {
    const std::int64_t least = quantity.layers == Layers::one ? 0 : -1;
    require(row >= least && row < trace.layers, ExitCode::usage, {path}, "recorded layer ", row,
            " for the colour ", quantity.id, "; expected ", least, " to ", trace.layers - 1);
  }
  if (quantity.slots) {
    require(slot >= 0 && slot < trace.slots, ExitCode::usage, {path}, "slot ", slot,
            " for the colour ", quantity.id, "; expected 0 to ", trace.slots - 1);
  }
}

}  // namespace

std::span<const TokenQuantity> token_quantities() {
  return kQuantities;
}

TokenColouring token_colouring(const Trace& trace, std::string_view id, std::int64_t row,
                               std::int64_t slot) {
  const TokenQuantity& quantity = quantity_called(id);
  require_place(trace, quantity, row, slot);
  TokenColouring result{std::string(id), std::string(quantity.name), {}, {}};
  quantity.fill(result, trace, row, slot);
  if (quantity.layers != Layers::none) {
    result.name += row < 0 ? " over all layers" : ", " + layer_label(trace, row);
  }
  result.values.resize(static_cast<std::size_t>(trace.tokens), kNaN);
  return result;
}

}  // namespace kappascope
