#include "core/trace/trace_meta.h"

#include <algorithm>

#include "core/tokenizer/tokenizer.h"
#include "core/trace/trace.h"

namespace kappascope {
namespace {

constexpr double kNearTie = 1e-3;  // of a margin (SPEC §5)

Json kappa_meta(const Model& model) {
  const ModelConfig& config = model.config;
  Json kappa{{"model", has_kappa(model)}};
  if (!has_kappa(model)) { return kappa; }
  kappa["start_layer"] = config.kappa_bias_start_layer;
  kappa["input"] = name(config.kappa_input);
  kappa["input_constant"] = config.kappa_input_constant;
  kappa["input_logit_norm_exponent"] = config.kappa_input_logit_norm_exponent;
  kappa["granularity"] = name(config.kappa_granularity);
  kappa["bound_moe"] = config.moe_kappa_slope_max_scale;
  kappa["bound_dense"] = config.dense_kappa_slope_max_scale;
  return kappa;
}

Json dimensions_meta(const Extents& extents) {
  Json dimensions;
  for (const Axis axis : {Axis::token, Axis::moe_layer, Axis::expert, Axis::slot, Axis::gate,
                          Axis::dense_layer, Axis::dense_gate, Axis::vocabulary}) {
    dimensions[std::string(axis_name(axis))] = extents[axis];
  }
  return dimensions;
}

Json chunks_meta(const std::vector<TextChunk>& chunks) {
  Json list = Json::array();
  for (const TextChunk& chunk : chunks) {
    list.push_back(
        {{"begin", chunk.begin}, {"first_recorded", chunk.first_recorded}, {"end", chunk.end}});
  }
  return list;
}

Json document_meta(const TextDocument& document) {
  return {{"source", display_text(document.source)},
          {"index", document.index},
          {"sha256", document.sha256}};
}

}  // namespace

bool has_kappa(const Model& model) {
  return std::any_of(model.layers.begin(), model.layers.end(),
                     [](const LayerPlan& layer) { return layer.kappa; });
}

Json checkpoint_meta(const Model& model) {
  Json meta;
  meta["model"] = {{"name", display_text(model.name())},
                   {"family", model.config.family},
                   {"step", model.files.step},
                   {"path", display_text(model.files.weights.string())}};
  meta["model_config"] = model.config.document;
  meta["n_layer"] = model.config.n_layer;
  meta["config_sha256"] = model.config_sha256;
  meta["tensor_directory_sha256"] = model.directory_sha256;
  meta["kappa"] = kappa_meta(model);
  return meta;
}

Json trace_meta(const Model& model, const TokenizedText& text, const TraceSettings& settings,
                const Extents& extents, std::span<const ArraySchema* const> arrays) {
  Json meta = checkpoint_meta(model);
  meta["schema"] = kTraceSchema;
  meta["tool_version"] = settings.tool_version;
  meta["torch_version"] = settings.torch_version;
  meta["command"] = display_text(settings.command);
  if (!text.document.sha256.empty()) { meta["document"] = document_meta(text.document); }
  meta["dtype"] = settings.dtype;
  meta["device"] = settings.device;
  meta["threads"] = settings.threads;
  meta["dimensions"] = dimensions_meta(extents);
  meta["thresholds"] = {{"gate_active", model.config.gate_stats_threshold},
                        {"gate_top", model.config.gate_stats_topk},
                        {"gate_linear", double(kLinearKz)},
                        {"gate_saturated", double(kSaturatedKz)},
                        {"near_tie", kNearTie}};
  meta["kappa"]["in_force"] = has_kappa(model) && settings.kappa;
  meta["capacity"] = {{"in_force", settings.capacity},
                      {"factor", model.config.eval_capacity},
                      {"minimum", model.config.min_capacity}};
  meta["window"] = {{"sequence_len", model.config.sequence_len},
                    {"chunks", chunks_meta(text.chunks)}};
  meta["recorded"] = {{"layers", settings.layers},
                      {"gates", settings.record_gates},
                      {"logits", settings.record_logits}};
  for (const ArraySchema* array : arrays) {
    meta["arrays"][std::string(array->name)] = describe_array(*array);
  }
  return meta;
}

}  // namespace kappascope
