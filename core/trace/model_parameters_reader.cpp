#include <algorithm>
#include <cmath>
#include <tuple>

#include "core/checkpoint/tensor.h"
#include "core/nan.h"
#include "core/trace/kappa_in_force.h"
#include "core/trace/meta.h"
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

// How α and b are stored for a granularity of the document; no values per layer: it is unknown.
KappaArray parameter_layout(const Json& meta, std::int64_t layers, std::int64_t experts,
                            std::int64_t gates) {
  const std::string granularity = text_of(member(member(&meta, "kappa"), "granularity"));
  KappaArray layout;
  if (granularity == "per-gate") {
    layout.layer_size = experts * gates;
    layout.expert_stride = gates;
    layout.gate_stride = 1;
  } else if (granularity == "per-expert") {
    layout.layer_size = experts;
    layout.expert_stride = 1;
  } else if (granularity == "per-layer" || granularity == "global") {
    layout.layer_size = 1;
  }
  const bool global = granularity == "global";
  layout.layer_stride = global ? 0 : layout.layer_size;
  layout.slot_stride = global ? 1 : layers * layout.layer_size;
  return layout;
}

// The shape of an array so stored.
std::vector<std::int64_t> shape_of(const KappaArray& layout, std::int64_t layers) {
  std::vector<std::int64_t> shape;
  if (layout.slots > 1) { shape.push_back(layout.slots); }
  if (layout.layer_stride == 0) {
    shape.push_back(1);
    return shape;
  }
  shape.push_back(layers);
  if (layout.expert_stride > 0) { shape.push_back(layout.layer_size / layout.expert_stride); }
  if (layout.gate_stride > 0) { shape.push_back(layout.expert_stride); }
  return shape;
}

// S of the document: 1 where it has none.
std::int64_t slots_of(const Json& meta, Faults& faults) {
  const Json* slots = member(&meta, "kappa_slots");
  if (slots == nullptr) { return 1; }
  const std::int64_t most = 1 << 16;  // a checkpoint may have more than passes
  const std::int64_t count = slots->is_number_integer() ? slots->get<std::int64_t>() : 0;
  if (count >= 1 && count <= most) { return count; }
  faults.add(ExitCode::damaged, kMetaArray, "kappa_slots; expected 1 to ", most);
  return 1;
}

// α and b. Only a model without b (disable_kappa_bias, κ router with z) has α alone.
void load_kappa(ModelParameters& model, Faults& faults) {
  const NpzReader& file = *model.file;
  const bool bias = file.mentions("kappa_bias"), scale = file.mentions("kappa_scale");
  if (!bias && !scale) { return; }
  const auto layers = static_cast<std::int64_t>(model.layer_kind.size());
  KappaArray layout = parameter_layout(model.meta, layers, model.experts, model.gates);
  if (layout.layer_size == 0) {
    faults.add(ExitCode::damaged, kMetaArray,
               "kappa.granularity; expected per-gate, per-expert, per-layer or global");
    return;
  }
  layout.slots = slots_of(model.meta, faults);
  const Json* has_bias = member(&model.meta["kappa"], "bias");
  const bool without_bias = has_bias && has_bias->is_boolean() && !has_bias->get<bool>();
  for (const auto& [name, there, array] :
       {std::tuple{"kappa_bias", bias || !without_bias, &model.bias},
        std::tuple{"kappa_scale", scale, &model.scale}}) {
    if (!there) { continue; }
    *array = layout;
    if (check_array(file, name, NpyType::float32, shape_of(layout, layers), faults)) {
      array->values = file.float32(name);
    }
  }
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
  if (model->experts > 0) {
    const auto layers = static_cast<std::int64_t>(model->layer_kind.size());
    const std::vector<std::int64_t> shape{layers, model->experts};
    check_array(file, "alignment_mean", NpyType::float32, shape, faults);
    check_array(file, "alignment_energy", NpyType::float32, shape, faults);
  }
  load_kappa(*model, faults);
  faults.throw_if_any();
  if (model->experts > 0) {
    model->alignment_mean = file.float32("alignment_mean");
    model->alignment_energy = file.float32("alignment_energy");
  }
  file.require_unchanged();
  return model;
}

namespace {

// Same hashes and sizes, so that the trace's indices are good for the parameters.
bool belongs(const ModelParameters& model, const Trace& trace) {
  for (const char* hash : {"config_sha256", "tensor_directory_sha256"}) {
    if (model.meta[hash] != trace.meta[hash]) { return false; }
  }
  const bool same_layers = static_cast<std::int64_t>(model.layer_kind.size()) == trace.model_layers;
  return same_layers &&
         (trace.layers == 0 || (model.experts == trace.experts && model.gates == trace.gates));
}

// model.npz of the same checkpoint, in the trace's folder or the one above; for the other trace of
// `run --against` also above that one. A file of that name that is not it, or cannot be read, is
// named in `problem`.
std::shared_ptr<const ModelParameters> find_model(const Trace& trace, std::string& problem) {
  const std::filesystem::path folder = std::filesystem::absolute(trace.path).parent_path();
  std::vector<std::filesystem::path> places{folder, folder.parent_path()};
  if (folder.filename() == kAgainstFolder) { places.push_back(places.back().parent_path()); }
  for (const std::filesystem::path& place : places) {
    const std::filesystem::path path = place / kModelFile;
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) { continue; }
    try {
      std::shared_ptr<const ModelParameters> model = open_model_parameters(path);
      if (belongs(*model, trace)) {
        problem.clear();
        return model;
      }
      problem = describe(Place{model->file->file().path()},
                         "parameters of another checkpoint than the trace's");
    } catch (const Error& error) { problem = error.what(); }
  }
  return nullptr;
}

}  // namespace

void find_parameters(Trace& trace) {
  trace.model = find_model(trace, trace.model_problem);
  trace.kappa_in_force = std::make_shared<KappaInForce>(trace);
}

}  // namespace kappascope
