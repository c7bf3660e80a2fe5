#include <algorithm>
#include <cmath>

#include "core/checkpoint/tensor.h"
#include "core/nan.h"
#include "core/trace/schema.h"
#include "core/trace/trace.h"

namespace kappascope {
namespace {

// Array `name`, when its type and shape are these; a miss is kept in `faults`.
bool check_array(const NpzReader& file, std::string_view name, NpyType type,
                 const std::vector<std::int64_t>& shape, Faults& faults) {
  const NpyArray* array = file.find(name);
  if (array == nullptr) {
    const Failure reason = file.absence(name);
    faults.add(reason.code, name, reason.message);
    return false;
  }
  if (array->type != type) {
    faults.add(ExitCode::damaged, name, "array type; expected ", type_name(type), ", found ",
               type_name(array->type));
    return false;
  }
  if (array->shape != shape) {
    faults.add(ExitCode::damaged, name, "shape; expected ", shape_text(shape), ", found ",
               shape_text(array->shape));
    return false;
  }
  return true;
}

// Per layer: −1 or 1 to 2^24; returns the largest of the MoE layers.
std::int64_t check_sizes(std::string_view name, std::span<const std::int32_t> values,
                         const std::vector<std::string>& kinds, Faults& faults) {
  std::int64_t most = 0;
  for (std::size_t l = 0; l < values.size(); ++l) {
    const bool moe = kinds[l] == "moe";
    const bool valid = values[l] == -1 ? !moe : values[l] >= 1 && values[l] <= 1 << 24;
    if (!valid) {
      faults.add(ExitCode::damaged, name, "layer ", l, "; expected a size, found ", values[l]);
    }
    if (moe) { most = std::max<std::int64_t>(most, values[l]); }
  }
  return most;
}

// The shape that α and b have for a granularity of the document; empty when it is unknown.
std::vector<std::int64_t> parameter_shape(const Json& meta, std::int64_t layers,
                                          std::int64_t experts, std::int64_t gates) {
  const bool named = meta.contains("kappa") && meta["kappa"].is_object() &&
                     meta["kappa"].contains("granularity") &&
                     meta["kappa"]["granularity"].is_string();
  const std::string granularity = named ? meta["kappa"]["granularity"].get<std::string>() : "";
  if (granularity == "per-gate") { return {layers, experts, gates}; }
  if (granularity == "per-expert") { return {layers, experts}; }
  if (granularity == "per-layer") { return {layers}; }
  if (granularity == "global") { return {1}; }
  return {};
}

void check_meta(const Json& meta, Faults& faults) {
  for (const char* key : {"config_sha256", "tensor_directory_sha256"}) {
    if (meta.contains(key) && meta[key].is_string()) { continue; }
    faults.add(ExitCode::damaged, kMetaArray, key, "; expected a text");
  }
}

// Layer kinds and sizes, from which the other shapes follow.
void load_layers(ModelParameters& model, Faults& faults) {
  const NpzReader& file = *model.file;
  const NpyArray* kind = file.find("layer_kind");
  const bool listed = kind != nullptr && kind->shape.size() == 1 && kind->shape[0] > 0;
  const std::vector<std::int64_t> shape{listed ? kind->shape[0] : 1};
  bool whole = check_array(file, "layer_kind", NpyType::text, shape, faults);
  for (const char* name : {"layer_experts", "layer_slots", "layer_gates"}) {
    whole = check_array(file, name, NpyType::int32, shape, faults) && whole;
  }
  whole = check_array(file, "kappa_u", NpyType::float32, shape, faults) && whole;
  whole = check_array(file, "kappa_start_layer", NpyType::int32, {}, faults) && whole;
  if (!whole) { faults.throw_if_any(); }
  model.layer_kind = file.text("layer_kind");
  model.layer_experts = file.int32("layer_experts");
  model.layer_slots = file.int32("layer_slots");
  model.layer_gates = file.int32("layer_gates");
  model.kappa_u = file.float32("kappa_u");
  model.kappa_start_layer = file.int32("kappa_start_layer")[0];
  for (const std::string& word : model.layer_kind) {
    if (word == "moe" || word == "dense") { continue; }
    faults.add(ExitCode::damaged, "layer_kind", "expected moe or dense, found ", word);
  }
  for (const float bound : model.kappa_u) {
    if (std::isnan(bound) || (bound > 0 && std::isfinite(bound))) { continue; }
    faults.add(ExitCode::damaged, "kappa_u", "expected a bound over 0 or NaN, found ", bound);
  }
  model.experts = check_sizes("layer_experts", model.layer_experts, model.layer_kind, faults);
  model.gates = check_sizes("layer_gates", model.layer_gates, model.layer_kind, faults);
  check_sizes("layer_slots", model.layer_slots, model.layer_kind, faults);
  faults.throw_if_any();
}

}  // namespace

std::shared_ptr<const ModelParameters> open_model_parameters(const std::filesystem::path& path) {
  auto model = std::make_shared<ModelParameters>();
  model->file = std::make_shared<NpzReader>(path);
  const NpzReader& file = *model->file;
  model->meta = read_meta(file, kModelSchema);
  Faults faults(file.file().path());
  check_meta(model->meta, faults);
  load_layers(*model, faults);
  const auto layers = static_cast<std::int64_t>(model->layer_kind.size());
  if (model->experts > 0) {
    const std::vector<std::int64_t> shape{layers, model->experts};
    check_array(file, "alignment_mean", NpyType::float32, shape, faults);
    check_array(file, "alignment_energy", NpyType::float32, shape, faults);
  }
  const std::vector<std::int64_t> shape =
      parameter_shape(model->meta, layers, model->experts, model->gates);
  const bool bias = file.find("kappa_bias") != nullptr, scale = file.find("kappa_scale") != nullptr;
  if ((bias || scale) && shape.empty()) {
    faults.add(ExitCode::damaged, kMetaArray,
               "kappa.granularity; expected per-gate, per-expert, per-layer or global");
  }
  if (bias || scale) { check_array(file, "kappa_bias", NpyType::float32, shape, faults); }
  if (scale) { check_array(file, "kappa_scale", NpyType::float32, shape, faults); }
  faults.throw_if_any();
  if (model->experts > 0) {
    model->alignment_mean = file.float32("alignment_mean");
    model->alignment_energy = file.float32("alignment_energy");
  }
  if (bias) { model->bias_ = file.float32("kappa_bias"); }
  if (scale) { model->scale_ = file.float32("kappa_scale"); }
  const std::int64_t gates = shape.size() > 2 ? model->gates : 1;
  model->gate_stride_ = shape.size() > 2 ? 1 : 0;
  model->expert_stride_ = shape.size() > 1 ? gates : 0;
  const bool global = shape == std::vector<std::int64_t>{1} && layers > 1;
  file.require_unchanged();
  model->layer_stride_ = global ? 0 : shape.size() > 1 ? model->experts * gates : 1;
  return model;
}

bool ModelParameters::has_kappa(std::int64_t layer) const {
  const auto l = static_cast<std::size_t>(layer);
  return !bias_.empty() && layer_kind[l] == "moe" && !std::isnan(kappa_u[l]);
}

float ModelParameters::bias(std::int64_t layer, std::int64_t e, std::int64_t i) const {
  if (!has_kappa(layer)) { return kNaN; }
  return bias_[layer * layer_stride_ + e * expert_stride_ + i * gate_stride_];
}

float ModelParameters::scale(std::int64_t layer, std::int64_t e, std::int64_t i) const {
  if (!has_kappa(layer) || !has_scale()) { return kNaN; }
  return scale_[layer * layer_stride_ + e * expert_stride_ + i * gate_stride_];
}

KappaView ModelParameters::kappa_view(std::int64_t layer, std::int64_t e) const {
  if (!has_kappa(layer)) { return {}; }
  const auto first = static_cast<std::size_t>(layer * layer_stride_ + e * expert_stride_);
  KappaView view;
  view.bias = bias_.data() + first;
  view.scale = has_scale() ? scale_.data() + first : nullptr;
  view.gate_stride = view.scale_gate_stride = gate_stride_;
  view.log_bound = static_cast<float>(std::log(static_cast<double>(kappa_u[layer])));
  return view;
}

}  // namespace kappascope
