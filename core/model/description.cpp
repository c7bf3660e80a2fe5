#include "core/model/description.h"

#include <string_view>
#include <utility>

#include "core/error.h"

namespace kappascope {
namespace {

std::string part_of(std::string_view name) {
  constexpr std::pair<const char*, const char*> kParts[] = {
      {"kappa_", "kappa"},          {"wte.", "embedding"},     {"lm_head.", "output"},
      {"value_embeds.", "values"},  {".attn.", "attention"},   {".mlp.router.", "router"},
      {".mlp.experts.", "experts"}, {".mlp.", "dense layers"},
  };
  for (const auto& [mark, part] : kParts) {
    if (name.find(mark) != std::string_view::npos) { return part; }
  }
  return "other";
}

std::string layer_kind(const Model& model, std::size_t layer) {
  const ModelConfig& config = model.config;
  const LayerPlan& plan = model.layers[layer];
  std::string kind = plan.moe ? join_words("MoE, ", config.moe_top_k, " of ", config.n_exp,
                                           " experts, ", config.gate_units(), " gate units each")
                     : config.use_qwen3_dense_mlp
                         ? join_words("dense, ", config.gate_units(), " gate units")
                         : join_words("dense, relu², ", config.gate_units(), " units");
  if (!plan.kappa) { return kind + ", κ = 1"; }
  const double bound =
      plan.moe ? config.moe_kappa_slope_max_scale : config.dense_kappa_slope_max_scale;
  return join_words(kind, ", κ within 1/", bound, " … ", bound);
}

}  // namespace

ParameterCounts count_parameters(const Model& model) {
  const ModelConfig& config = model.config;
  ParameterCounts counts;
  for (const WeightRole& role : model.weights) {
    if (!role.tensor) { continue; }
    const std::int64_t elements = role.tensor->elements();
    const bool per_expert = role.name.find(".mlp.experts.") != std::string::npos &&
                            !role.shape.empty() && role.shape[0] == config.n_exp;
    counts.total += elements;
    counts.active += per_expert ? double(elements) * double(config.moe_top_k) / double(config.n_exp)
                                : double(elements);
    counts.parts[part_of(role.name)] += elements;
    counts.tensors_of[std::string(dtype_name(role.tensor->dtype))] += 1;
  }
  return counts;
}

std::vector<LayerRange> layer_ranges(const Model& model) {
  std::vector<LayerRange> ranges;
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    std::string text = layer_kind(model, i);
    const auto layer = static_cast<std::int64_t>(i);
    if (ranges.empty() || ranges.back().text != text) { ranges.push_back({layer, layer, text}); }
    ranges.back().last = layer;
  }
  return ranges;
}

}  // namespace kappascope
