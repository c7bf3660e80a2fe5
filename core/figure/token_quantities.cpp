#include "core/figure/token_quantities.h"

#include <algorithm>

#include "core/error.h"
#include "core/figure/parts.h"
#include "core/figure/scales.h"
#include "core/stats/maps.h"

namespace kappascope {
namespace {

using Layers = TokenQuantity::Layers;

constexpr TokenQuantity kQuantities[] = {
    {"nll", "negative log-likelihood", Layers::none, false, "nll"},
    {"confidence", "confidence of the router", Layers::either, false, "router_top1_prob"},
    {"margin", "margin of the choice of experts", Layers::either, false, "router_margin"},
    {"entropy", "entropy of the router", Layers::either, false, "router_entropy"},
    {"kappa", "sharpness κ", Layers::either, false, "kappa_log_mean"},
    {"sharpness", "effective sharpness of the gates", Layers::either, false, "gate_kz_rms"},
    {"expert", "chosen expert", Layers::one, true, "load"},
    {"dropped", "dropped assignments", Layers::either, false, "drop_rate"},
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

// The layer asked for, or all layers in one row.
std::vector<float> in_one_row(LayerMap map, OverLayers over) {
  return map.rows == 1 ? std::move(map.values) : over_layers(map, over);
}

std::vector<float> experts_of(const Trace& trace, std::int64_t row, std::int64_t slot) {
  const TraceLayer layer(trace, row);
  std::vector<float> values;
  for (std::int64_t t = 0; t < layer.tokens; ++t) {
    values.push_back(expert_value(layer.expert(t * layer.slots + slot)));
  }
  return values;
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
  const auto router = [&](std::span<const float> array, OverLayers over) {
    result.values = in_one_row(layer_token_values(trace, array, row), over);
  };
  if (id == "nll") {
    result.colours = nll_colours();
    result.values.assign(trace.nll.begin(), trace.nll.end());
  } else if (id == "confidence") {
    result.colours = confidence_colours();
    router(trace.router_top1_prob, OverLayers::mean);
  } else if (id == "margin") {
    result.colours = margin_colours(trace);
    router(trace.router_margin, OverLayers::least);
  } else if (id == "entropy") {
    result.colours = entropy_colours();
    router(trace.router_entropy, OverLayers::mean);
  } else if (id == "kappa") {
    LayerMap map = layer_token_kappa(trace, row);
    result.exact = map.exact;
    result.colours = kappa_colours("κ (weighted geometric mean)");
    result.colours.no_value = "dropped";
    result.values = in_one_row(std::move(map), OverLayers::geometric_mean);
  } else if (id == "sharpness") {
    result.colours = sharpness_colours();
    result.colours.no_value = "dropped";
    result.values = in_one_row(layer_token_mean(trace, trace.gate_kz_rms, row), OverLayers::mean);
  } else if (id == "expert") {
    result.colours = expert_colours(trace);
    result.values = experts_of(trace, row, slot);
  } else {
    result.values = in_one_row(dropped_slots(trace, row), OverLayers::sum);
    double most = static_cast<double>(trace.slots);
    for (const float value : result.values) { most = std::max<double>(most, value); }
    result.colours = dropped_colours(most);
    if (row < 0) { result.colours.high_note = "often dropped"; }
  }
  if (quantity.layers != Layers::none) {
    result.name += row < 0 ? " over all layers" : ", " + layer_label(trace, row);
  }
  result.values.resize(static_cast<std::size_t>(trace.tokens), kNaN);
  return result;
}

}  // namespace kappascope
