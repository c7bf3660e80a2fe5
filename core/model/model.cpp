#include "core/model/model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "core/checkpoint/other_format.h"
#include "core/checkpoint/torch_pt.h"
#include "core/model/reading.h"

namespace kappascope {
namespace {

constexpr std::uint64_t kMetaLimit = 16u << 20;  // bytes of a meta_*.json

// When a weight belongs to the model.
enum class When : std::uint8_t { always, value_embedding, dense, gated_dense, moe };

// One row of the table of weights. `name` follows "transformer.h.LAYER." in the rows of a layer.
// `axes`, one letter each: V padded vocabulary, H hidden, G gate units (4H), E experts, L layers,
// M kv heads, W their width together, C inputs of the value-embedding gate.
struct WeightRow {
  std::string_view name;
  std::string_view axes;
  When when = When::always;
  bool optional = false;
};

// SPEC §1.3; κ parameters follow the granularity and are added by add_kappa.
constexpr std::array<WeightRow, 3> kHeadRows = {{{"transformer.wte.weight", "VH"},
                                                 {"resid_lambdas", "L", When::always, true},
                                                 {"x0_lambdas", "L", When::always, true}}};
constexpr std::array<WeightRow, 13> kLayerRows = {
    {{"attn.c_q.weight", "HH"},
     {"attn.c_k.weight", "WH"},
     {"attn.c_v.weight", "WH"},
     {"attn.c_proj.weight", "HH"},
     {"attn.ve_gate.weight", "MC", When::value_embedding},
     {"mlp.gate_proj.weight", "GH", When::gated_dense},
     {"mlp.c_fc.weight", "GH", When::dense},
     {"mlp.c_proj.weight", "HG", When::dense},
     {"mlp.router.w_g.weight", "EH", When::moe},
     {"mlp.router.expert_bias", "E", When::moe, true},
     {"mlp.experts.gate_proj", "EHG", When::moe},
     {"mlp.experts.c_fc", "EHG", When::moe},
     {"mlp.experts.c_proj", "EGH", When::moe}}};

std::int64_t extent(char axis, const ModelConfig& config) {
  switch (axis) {
    case 'V':
      return config.padded_vocab();
    case 'H':
      return config.n_embd;
    case 'G':
      return config.gate_units();
    case 'E':
      return config.n_exp;
    case 'L':
      return config.n_layer;
    case 'M':
      return config.n_kv_head;
    case 'W':
      return config.n_kv_head * config.head_width();
    case 'C':
      return 32;
    default:
      return 1;
  }
}

std::vector<std::int64_t> shape_of(std::string_view axes, const ModelConfig& config) {
  std::vector<std::int64_t> shape;
  for (const char axis : axes) { shape.push_back(extent(axis, config)); }
  return shape;
}

std::string layer_name(std::int64_t layer, std::string_view tail) {
  return join_words("transformer.h.", layer, ".", tail);
}

// Axes of κ parameters, by granularity.
std::string_view kappa_axes(Granularity granularity, bool moe) {
  if (granularity == Granularity::per_gate) { return moe ? "EG" : "G"; }
  return moe && granularity == Granularity::per_expert ? "E" : "1";
}

// The tensors that κ of one layer comes from.
struct KappaSources {
  std::string bias, scale;                     // scale "" when there is none
  std::string expert, intermediate, residual;  // of the older outer product, else ""
  bool product() const { return !expert.empty(); }
};

KappaSources kappa_sources(const Model& model, std::int64_t layer) {
  const ModelConfig& config = model.config;
  const bool moe = config.is_moe(layer);
  const bool scaled = moe && config.kappa_input != KappaInput::constant;
  if (config.kappa_granularity == Granularity::global) {
    return {"global_kappa_bias", scaled ? "global_kappa_scale" : "", {}, {}, {}};
  }
  const std::string head = layer_name(layer, moe ? "mlp.experts." : "mlp.");
  KappaSources sources{head + "kappa_bias", scaled ? head + "kappa_scale" : "", {}, {}, {}};
  const auto present = [&](const char* tail) {
    return model.tensors->find(head + tail) != nullptr;
  };
  const bool older = present("kappa_bias_expert") || present("kappa_bias_intermediate");
  if (moe && config.kappa_granularity == Granularity::per_gate && older && !present("kappa_bias")) {
    sources.bias.clear();
    sources.expert = head + "kappa_bias_expert";
    sources.intermediate = head + "kappa_bias_intermediate";
    if (present("kappa_bias_residual")) { sources.residual = head + "kappa_bias_residual"; }
  }
  return sources;
}

// Fills Model::weights and collects every tensor that is missing or not as the config demands.
class RoleTable {
 public:
  RoleTable(Model& model, Faults& faults) : model_(model), faults_(faults) {}

  void fill() {
    const ModelConfig& config = model_.config;
    for (const WeightRow& row : kHeadRows) { add(std::string(row.name), row.axes, row.optional); }
    for (std::int64_t layer = 0; layer < config.n_layer; ++layer) {
      if (config.has_value_embedding(layer)) {
        add(join_words("value_embeds.", layer, ".weight"), "VW", false);
      }
      for (const WeightRow& row : kLayerRows) {
        if (holds(row.when, layer)) { add(layer_name(layer, row.name), row.axes, row.optional); }
      }
      if (config.has_kappa(layer)) { add_kappa(layer); }
    }
    add("lm_head.weight", "VH", false);
  }

 private:
  bool holds(When when, std::int64_t layer) const {
    const ModelConfig& config = model_.config;
    switch (when) {
      case When::always:
        return true;
      case When::value_embedding:
        return config.has_value_embedding(layer);
      case When::dense:
        return !config.is_moe(layer);
      case When::gated_dense:
        return !config.is_moe(layer) && config.use_qwen3_dense_mlp;
      case When::moe:
        return config.is_moe(layer);
    }
    return false;
  }

  void add_kappa(std::int64_t layer) {
    const ModelConfig& config = model_.config;
    const std::string_view axes = kappa_axes(config.kappa_granularity, config.is_moe(layer));
    const KappaSources sources = kappa_sources(model_, layer);
    kappa_row_ = true;
    if (sources.product()) {
      add(sources.expert, "E", false);
      add(sources.intermediate, "G", false);
      if (!sources.residual.empty()) { add(sources.residual, "EG", false); }
    } else {
      instead_ = found_instead(layer);
      add(sources.bias, axes, false);
      instead_.clear();
    }
    if (!sources.scale.empty()) { add(sources.scale, axes, false); }
    kappa_row_ = false;
  }

  void add(std::string name, std::string_view axes, bool optional) {
    if (!names_.insert(name).second) {
      return;  // global κ belongs to several layers
    }
    WeightRole role{std::move(name), shape_of(axes, model_.config), nullptr};
    role.tensor = model_.tensors->find(role.name);
    if (role.tensor != nullptr) {
      // Lambdas of every pass, one row each, stand for their mean.
      const std::vector<std::int64_t>& found = role.tensor->shape;
      if (axes == "L" && found.size() == 2 && found[0] >= 1 && found[1] == role.shape[0]) {
        role.shape = found;
      }
      check(role);
    } else if (const OtherMember* other = model_.tensors->find_other(role.name)) {
      refuse_type(role.name, "found " + other->what, other->what);
    } else if (!optional) {
      faults_.add(ExitCode::damaged, role.name, "missing; expected ", shape_text(role.shape),
                  note({}), instead_);
    }
    model_.weights.push_back(std::move(role));
  }

  void check(const WeightRole& role) {
    const TensorInfo& found = *role.tensor;
    if (found.shape != role.shape) {
      faults_.add(ExitCode::damaged, role.name, "wrong shape; expected ", shape_text(role.shape),
                  note({}), ", found ", shape_text(found.shape), note(found.shape));
    }
    const std::string_view type = dtype_name(found.dtype);
    if (!is_float(found.dtype)) {
      refuse_type(role.name,
                  join_words("wrong type; expected float32, bfloat16 or float16, found ", type),
                  type);
    } else if (found.shape == role.shape) {
      const std::string reason = unreadable(*model_.tensors, found);
      if (!reason.empty()) { faults_.add(ExitCode::unsupported, role.name, reason); }
    }
  }

  // The first time with the line that helps: only so many faults of a file are listed.
  void refuse_type(std::string_view name, std::string_view fault, std::string_view type) {
    if (!conversion_said_) {
      faults_.add(ExitCode::unsupported, "", conversion(*model_.tensors, type));
    }
    conversion_said_ = true;
    faults_.add(ExitCode::unsupported, name, fault);
  }

  // For κ parameters: the granularity that asks for a shape, or (`shape` not empty) that has it.
  std::string note(const std::vector<std::int64_t>& shape) const {
    if (!kappa_row_) { return ""; }
    const ModelConfig& config = model_.config;
    if (shape.empty()) {
      return join_words(" (", name(config.kappa_granularity), " κ, ",
                        config.kappa_granularity_given ? "as the meta says)" : "the default)");
    }
    for (const Granularity other :
         {Granularity::per_gate, Granularity::per_expert, Granularity::per_layer}) {
      if (shape == shape_of(kappa_axes(other, true), config)) {
        return join_words(" (", name(other), ")");
      }
    }
    return "";
  }

  // Where the κ bias of another granularity lies, for the error when this one's is missing.
  std::string found_instead(std::int64_t layer) const {
    const TensorFile& file = *model_.tensors;
    const std::string head = layer_name(layer, "mlp.experts.kappa_bias");
    if (const TensorInfo* found = file.find(head)) {
      return join_words(", found ", head, " ", shape_text(found->shape), note(found->shape));
    }
    if (file.find(head + "_expert") != nullptr) {
      return join_words(", found ", head, "_expert (the older product, per-gate)");
    }
    return file.find("global_kappa_bias") != nullptr ? ", found global_kappa_bias (global)" : "";
  }

  Model& model_;
  Faults& faults_;
  std::set<std::string> names_;
  bool kappa_row_ = false;
  bool conversion_said_ = false;
  std::string instead_;  // added to "missing"
};

// "kappa_bias [8, 384]": the last part of a name and its shape.
std::string origin_of(const TensorInfo& tensor) {
  const std::size_t dot = tensor.name.rfind('.');
  return tensor.name.substr(dot == std::string::npos ? 0 : dot + 1) + " " +
         shape_text(tensor.shape);
}

// b[e,i] = expert[e]·intermediate[i] (+ residual[e,i]), as older checkpoints store it.
std::vector<float> outer_product(const TensorFile& file, const KappaSources& sources) {
  const std::vector<float> expert = file.floats(*file.find(sources.expert));
  const std::vector<float> intermediate = file.floats(*file.find(sources.intermediate));
  std::vector<float> bias;
  if (!sources.residual.empty()) { bias = file.floats(*file.find(sources.residual)); }
  bias.resize(expert.size() * intermediate.size());
  for (std::size_t e = 0; e < expert.size(); ++e) {
    for (std::size_t i = 0; i < intermediate.size(); ++i) {
      bias[e * intermediate.size() + i] += expert[e] * intermediate[i];
    }
  }
  return bias;
}

// κ of a layer that has it; every tensor has been checked.
KappaParameters kappa_parameters(const Model& model, std::int64_t layer, bool values) {
  const ModelConfig& config = model.config;
  const TensorFile& file = *model.tensors;
  const KappaSources sources = kappa_sources(model, layer);
  const bool moe = config.is_moe(layer);
  const bool per_gate = config.kappa_granularity == Granularity::per_gate;
  const bool per_expert = config.kappa_granularity == Granularity::per_expert;

  KappaParameters kappa;
  kappa.gate_stride = per_gate ? 1 : 0;
  if (moe && per_gate) { kappa.expert_stride = config.gate_units(); }
  if (moe && per_expert) { kappa.expert_stride = 1; }
  kappa.bound = moe ? config.moe_kappa_slope_max_scale : config.dense_kappa_slope_max_scale;
  if (sources.product()) {
    kappa.origin =
        origin_of(*file.find(sources.expert)) + " × " + origin_of(*file.find(sources.intermediate));
    if (!sources.residual.empty()) {
      kappa.origin += " + " + origin_of(*file.find(sources.residual));
    }
    if (values) { kappa.bias = outer_product(file, sources); }
  } else {
    kappa.origin = origin_of(*file.find(sources.bias));
    if (values) { kappa.bias = file.floats(*file.find(sources.bias)); }
  }
  if (!sources.scale.empty()) {
    kappa.origin += ", " + origin_of(*file.find(sources.scale));
    if (values) { kappa.scale = file.floats(*file.find(sources.scale)); }
  }
  return kappa;
}

std::string granularity_reason(const Model& model) {
  const ModelConfig& config = model.config;
  if (!config.use_kappa_swiglu) {
    return config.use_kappa_swiglu_inferred ? "no κ: the meta is silent and no tensor is named "
                                              "kappa_bias"
                                            : "no κ: use_kappa_swiglu is false";
  }
  for (std::int64_t layer = 0; layer < config.n_layer; ++layer) {
    const LayerPlan& plan = model.layers[layer];
    if (!plan.kappa) { continue; }
    return join_words(name(config.kappa_granularity), " κ ",
                      config.kappa_granularity_given ? "as the meta says" : "by default",
                      ", from layer ", layer, " on; there ", plan.kappa_parameters.origin,
                      config.use_kappa_swiglu_inferred ? " (κ inferred from tensor names)" : "");
  }
  return join_words("no κ: no layer at or above kappa_bias_start_layer ",
                    config.kappa_bias_start_layer, " can have it");
}

LayerPlan plan_layer(const Model& model, std::int64_t layer, bool kappa_values) {
  LayerPlan plan;
  plan.moe = model.config.is_moe(layer);
  plan.kappa = model.config.has_kappa(layer);
  plan.value_embedding = model.config.has_value_embedding(layer);
  plan.window = model.config.window(layer);
  if (plan.kappa) { plan.kappa_parameters = kappa_parameters(model, layer, kappa_values); }
  return plan;
}

}  // namespace

KappaView KappaParameters::view() const {
  KappaView result;
  if (empty()) { return result; }
  result.bias = bias.data();
  result.scale = scale.empty() ? nullptr : scale.data();
  result.expert_stride = result.scale_expert_stride = expert_stride;
  result.gate_stride = result.scale_gate_stride = gate_stride;
  result.log_bound = static_cast<float>(std::log(bound));
  return result;
}

std::string Model::name() const {
  const std::filesystem::path folder = std::filesystem::absolute(files.weights).parent_path();
  std::error_code gone;
  const std::filesystem::path real = std::filesystem::canonical(folder, gone);
  return (gone ? folder.lexically_normal() : real).filename().string();
}

const TensorInfo* Model::tensor(std::string_view role) const {
  const auto found = std::find_if(weights.begin(), weights.end(),
                                  [&](const WeightRole& weight) { return weight.name == role; });
  require(found != weights.end(), ExitCode::internal, Place{{}, role, -1},
          "no weight of this model's configuration");
  return found->tensor;
}

Model open_model(const std::filesystem::path& path, std::optional<std::int64_t> step,
                 bool kappa_values) {
  Model model;
  model.files = find_checkpoint(path, step);
  const std::string meta_file = model.files.meta.string();
  const InputFile meta_input = InputFile::open(model.files.meta);
  const Json meta = with_format(meta_input, Expected::json, [&] {
    return parse_json(read_text(meta_input, kMetaLimit), meta_file, NotFinite::numbers);
  });
  model.tensors = std::make_unique<TensorFile>(read_torch_pt(model.files.weights));
  const std::string prefix = strip_model_prefix(*model.tensors, kHeadRows[0].name);
  model.config = read_model_config(meta, model.tensors->tensors(), meta_file);

  Faults faults(model.files.weights.string());
  RoleTable(model, faults).fill();
  faults.throw_if_any();

  for (std::int64_t layer = 0; layer < model.config.n_layer; ++layer) {
    model.layers.push_back(plan_layer(model, layer, kappa_values));
  }
  model.granularity_reason = granularity_reason(model);
  model.unknown_tensors = unknown_tensors(model);
  model.notes = reading_notes(model, prefix);
  model.config_sha256 = sha256_hex(model.config.document.dump());
  model.directory_sha256 = model.tensors->directory_sha256();
  return model;
}

}  // namespace kappascope
