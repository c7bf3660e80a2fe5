#include "core/model/families/nanochat_weights.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "core/model/reading.h"

namespace kappascope::nanochat {
namespace {

// When a weight belongs to the model.
enum class When : std::uint8_t { always, value_embedding, dense, gated_dense, moe, soft };

// One row of the table of weights. `name` follows "transformer.h.LAYER." in the rows of a layer.
// `axes`, one letter each: V padded vocabulary, H hidden, G gate units (4H), E experts, L layers,
// U passes, B MoE layers, M kv heads, W their width together, C inputs of the value-embedding gate.
struct WeightRow {
  Role role;
  std::string_view name;
  std::string_view axes;
  When when = When::always;
  bool optional = false;
};

// κ parameters follow the granularity and are added by add_kappa.
constexpr std::array<WeightRow, 5> kHeadRows = {
    {{Role::embedding, "transformer.wte.weight", "VH"},
     {Role::resid_lambdas, "resid_lambdas", "L", When::always, true},
     {Role::x0_lambdas, "x0_lambdas", "L", When::always, true},
     {Role::ut_source_lambdas, "ut_source_lambdas", "U", When::always, true},
     {Role::soft_budgets, "softmoe_eta", "B", When::soft}}};
constexpr std::array<WeightRow, 13> kLayerRows = {
    {{Role::attention_query, "attn.c_q.weight", "HH"},
     {Role::attention_key, "attn.c_k.weight", "WH"},
     {Role::attention_value, "attn.c_v.weight", "WH"},
     {Role::attention_output, "attn.c_proj.weight", "HH"},
     {Role::value_gate, "attn.ve_gate.weight", "MC", When::value_embedding},
     {Role::dense_gate, "mlp.gate_proj.weight", "GH", When::gated_dense},
     {Role::dense_up, "mlp.c_fc.weight", "GH", When::dense},
     {Role::dense_down, "mlp.c_proj.weight", "HG", When::dense},
     {Role::router, "mlp.router.w_g.weight", "EH", When::moe},
     {Role::selection_bias, "mlp.router.expert_bias", "E", When::moe, true},
     {Role::expert_gate, "mlp.experts.gate_proj", "EHG", When::moe},
     {Role::expert_up, "mlp.experts.c_fc", "EHG", When::moe},
     {Role::expert_down, "mlp.experts.c_proj", "EGH", When::moe}}};

std::int64_t extent(char axis, const Config& config) {
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
    case 'U':
      return config.total_ut_steps;
    case 'B':
      return config.moe_layers();
    case 'M':
      return config.n_kv_head;
    case 'W':
      return config.n_kv_head * config.head_width();
    case 'C':
      return kValueGateInputs;
    case '1':
      return 1;
    default:
      fail(ExitCode::internal, {}, "an axis of no weight: ", axis);
  }
}

std::vector<std::int64_t> shape_of(std::string_view axes, const Config& config) {
  std::vector<std::int64_t> shape;
  for (const char axis : axes) { shape.push_back(extent(axis, config)); }
  return shape;
}

std::string layer_name(std::int64_t layer, std::string_view tail) {
  return join_words("transformer.h.", layer, ".", tail);
}

// Axes of κ parameters without slots, by granularity.
std::string_view kappa_axes(Granularity granularity, bool moe) {
  if (granularity == Granularity::per_gate) { return moe ? "EG" : "G"; }
  return moe && granularity == Granularity::per_expert ? "E" : "1";
}

// Whether `found` is `base`, or has one axis more in front: one entry a slot.
bool fits_slots(const std::vector<std::int64_t>& found, const std::vector<std::int64_t>& base) {
  if (found == base) { return true; }
  return found.size() == base.size() + 1 && found[0] >= 1 &&
         std::equal(base.begin(), base.end(), found.begin() + 1);
}

class RoleTable {
 public:
  RoleTable(Model& model, const Config& config, Faults& faults)
      : model_(model), config_(config), faults_(faults) {}

  void fill() {
    for (const WeightRow& row : kHeadRows) {
      if (!holds(row.when, -1)) { continue; }
      add({row.role, -1, std::string(row.name), shape_of(row.axes, config_)}, row.optional,
          row.axes == "L"   ? Shape::lambdas
          : row.axes == "U" ? Shape::passes
                            : Shape::exact);
    }
    for (std::int64_t layer = 0; layer < config_.n_layer; ++layer) {
      if (config_.has_value_embedding(layer)) {
        add({Role::value_embedding, layer, join_words("value_embeds.", layer, ".weight"),
             shape_of("VW", config_)});
      }
      for (const WeightRow& row : kLayerRows) {
        if (holds(row.when, layer)) {
          add({row.role, layer, layer_name(layer, row.name), shape_of(row.axes, config_)},
              row.optional);
        }
      }
      if (config_.has_kappa(layer)) { add_kappa(layer); }
    }
    add({Role::head, -1, "lm_head.weight", shape_of("VH", config_)});
  }

 private:
  // How a found shape may differ from the expected one.
  enum class Shape : std::uint8_t {
    exact,
    lambdas,  // also one row per pass
    passes,   // of any length; also one row per pass, one column per layer
    kappa,    // also one entry a slot
    sides     // also twice as long: one part for base and one for chat training
  };

  bool holds(When when, std::int64_t layer) const {
    switch (when) {
      case When::always:
        return true;
      case When::value_embedding:
        return config_.has_value_embedding(layer);
      case When::dense:
        return !config_.is_moe(layer);
      case When::gated_dense:
        return !config_.is_moe(layer) && config_.use_qwen3_dense_mlp;
      case When::moe:
        return config_.is_moe(layer);
      case When::soft:
        return config_.soft.has_value() && config_.moe_layers() > 0;
    }
    fail(ExitCode::internal, {}, "a weight that belongs to no kind of layer");
  }

  void add_kappa(std::int64_t layer) {
    const bool moe = config_.is_moe(layer);
    const std::string_view axes = kappa_axes(config_.kappa_granularity, moe);
    const bool global = config_.kappa_granularity == Granularity::global;
    const std::string head = layer_name(layer, moe ? "mlp.experts." : "mlp.");
    kappa_row_ = true;
    if (moe && config_.independent_kappa_router) { add_kappa_router(layer); }
    if (!moe || config_.has_bias()) {
      instead_ = found_instead(layer);
      if (global) {
        add_global(Role::kappa_bias, "global_kappa_bias", layer);
      } else if (moe && is_product(head)) {
        add_product(head, layer);
      } else {
        add({Role::kappa_bias, layer, head + "kappa_bias", shape_of(axes, config_)}, false,
            Shape::kappa);
      }
      instead_.clear();
    }
    if (moe && config_.has_scale()) {
      if (global) {
        add_global(Role::kappa_scale, "global_kappa_scale", layer);
      } else {
        add({Role::kappa_scale, layer, head + "kappa_scale", shape_of(axes, config_)}, false,
            Shape::kappa);
      }
    }
    kappa_row_ = false;
  }

  // Whether b is kept as a product of two vectors, as older checkpoints do.
  bool is_product(const std::string& head) const {
    const TensorFile& file = *model_.tensors;
    return config_.kappa_granularity == Granularity::per_gate &&
           !find_tensor(file, head + "kappa_bias") &&
           (find_tensor(file, head + "kappa_bias_expert") ||
            find_tensor(file, head + "kappa_bias_intermediate"));
  }

  void add_product(const std::string& head, std::int64_t layer) {
    add({Role::kappa_bias_expert, layer, head + "kappa_bias_expert", shape_of("E", config_)});
    add({Role::kappa_bias_gate, layer, head + "kappa_bias_intermediate", shape_of("G", config_)});
    if (find_tensor(*model_.tensors, head + "kappa_bias_residual")) {
      add({Role::kappa_bias_residual, layer, head + "kappa_bias_residual",
           shape_of("EG", config_)});
    }
  }

  void add_global(Role role, const char* name, std::int64_t layer) {
    if (!model_.weights.find(role)) {
      add({role, -1, name, shape_of("1", config_)}, false, Shape::kappa);
    }
    model_.weights.share(role, layer);
  }

  void add_kappa_router(std::int64_t layer) {
    const std::string head = layer_name(layer, "mlp.kappa_router.");
    add({Role::kappa_router, layer, head + "weight", shape_of("EH", config_)}, false, Shape::sides);
    if (config_.disable_kappa_bias && config_.kappa_input != KappaInput::gate_proj) {
      add({Role::kappa_router_bias, layer, head + "bias", shape_of("E", config_)}, false,
          Shape::sides);
    }
  }

  void add(Stored row, bool optional = false, Shape shape = Shape::exact) {
    row.tensor = find_tensor(*model_.tensors, row.name);
    if (row.tensor != nullptr) {
      row.name = row.tensor->name;
      if (fits(row.tensor->shape, row.shape, shape)) { row.shape = row.tensor->shape; }
      check(row, shape);
    } else if (const OtherMember* other = model_.tensors->find_other(row.name)) {
      refuse_type(row.name, "found " + other->what, other->what);
    } else if (!optional) {
      faults_.add(ExitCode::damaged, row.name, "missing; expected ", shape_text(row.shape),
                  note({}), instead_);
    }
    model_.weights.add(std::move(row));
  }

  bool has_row_a_pass(const std::vector<std::int64_t>& found) const {
    return found.size() == 2 && found[0] >= 1 && found[1] == config_.n_layer;
  }

  bool fits(const std::vector<std::int64_t>& found, const std::vector<std::int64_t>& expected,
            Shape shape) const {
    switch (shape) {
      case Shape::exact:
        return found == expected;
      case Shape::lambdas:
        return found == expected || has_row_a_pass(found);
      case Shape::passes:
        return (found.size() == 1 && found[0] >= 1) || has_row_a_pass(found);
      case Shape::kappa:
        return fits_slots(found, expected);
      case Shape::sides: {
        if (found == expected) { return true; }
        std::vector<std::int64_t> both = expected;
        both[0] *= 2;
        return config_.separate_base_sft_kappa && found == both;
      }
    }
    fail(ExitCode::internal, {}, "a shape of no kind");
  }

  void check(const Stored& row, Shape shape) {
    const TensorInfo& found = *row.tensor;
    if (found.shape != row.shape) {
      faults_.add(ExitCode::damaged, row.name, "wrong shape; expected ", shape_text(row.shape),
                  shape == Shape::kappa ? with_slots(row.shape) : "", note({}), ", found ",
                  shape_text(found.shape), note(found.shape));
    }
    const std::string_view type = dtype_name(found.dtype);
    if (!is_float(found.dtype)) {
      refuse_type(row.name,
                  join_words("wrong type; expected float32, bfloat16 or float16, found ", type),
                  type);
    } else if (found.shape == row.shape) {
      const std::string reason = unreadable(*model_.tensors, found);
      if (!reason.empty()) { faults_.add(ExitCode::unsupported, row.name, reason); }
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

  // " or [slots, 8, 384]"
  static std::string with_slots(const std::vector<std::int64_t>& shape) {
    return " or [slots, " + shape_text(shape).substr(1);
  }

  // For κ parameters: the granularity that asks for a shape, or (`shape` not empty) that has it.
  std::string note(const std::vector<std::int64_t>& shape) const {
    if (!kappa_row_) { return ""; }
    if (shape.empty()) {
      return join_words(" (", name(config_.kappa_granularity), " κ, ",
                        config_.kappa_granularity_given ? "as the meta says)" : "the default)");
    }
    for (const Granularity other :
         {Granularity::per_gate, Granularity::per_expert, Granularity::per_layer}) {
      if (fits_slots(shape, shape_of(kappa_axes(other, true), config_))) {
        return join_words(" (", name(other), ")");
      }
    }
    return "";
  }

  // Where the κ bias of another granularity is, for the error when this one's is missing.
  std::string found_instead(std::int64_t layer) const {
    const TensorFile& file = *model_.tensors;
    const std::string head = layer_name(layer, "mlp.experts.kappa_bias");
    if (const TensorInfo* found = find_tensor(file, head)) {
      return join_words(", found ", found->name, " ", shape_text(found->shape), note(found->shape));
    }
    if (const TensorInfo* found = find_tensor(file, head + "_expert")) {
      return join_words(", found ", found->name, " (the older product, per-gate)");
    }
    return find_tensor(file, "global_kappa_bias") ? ", found global_kappa_bias (global)" : "";
  }

  Model& model_;
  const Config& config_;
  Faults& faults_;
  bool kappa_row_ = false;
  bool conversion_said_ = false;
  std::string instead_;  // added to "missing"
};

}  // namespace

const TensorInfo* find_tensor(const TensorFile& file, std::string_view name) {
  if (const TensorInfo* found = file.find(name)) { return found; }
  const std::string before = old_tensor_name(name);
  return before.empty() ? nullptr : file.find(before);
}

void assign_roles(Model& model, const Config& config, Faults& faults) {
  RoleTable(model, config, faults).fill();
}

std::vector<Stored> expected_weights(const Json& meta, const std::filesystem::path& file) {
  const Config config = read_config(meta, {}, file.string());
  Model model;
  model.tensors = std::make_unique<TensorFile>(InputFile::open(file), std::vector<TensorInfo>());
  Faults missing(file.string());  // that no tensor is there is no fault here
  assign_roles(model, config, missing);
  return model.weights.all();
}

std::vector<std::string> unknown_tensors(const Model& model, const Config& config) {
  // Parts of names that training leaves in a checkpoint and that evaluation does not need.
  constexpr std::array<std::string_view, 10> kLeftovers = {
      ".experts.gate_proj_a", ".experts.gate_proj_b",     ".router.w_noise.weight",
      "_ema_rms_reg_keeper.", "_l2_target_keeper.",       "._shared_kappa_",
      ".attn.ve_gate.weight", ".kappa_bias_intermediate", ".kappa_bias_residual",
      ".kappa_bias_expert"};
  // What a layout with κ leaves unused (SPEC-layouts §1.3a).
  constexpr std::array<std::string_view, 4> kUnusedKappa = {"kappa_bias", "kappa_scale",
                                                            "gate_proj_bias", ".kappa_router."};
  std::set<std::string_view> used;
  for (const Stored& row : model.weights.all()) { used.insert(row.name); }
  std::vector<std::string> unknown;
  for (const TensorInfo& tensor : model.tensors->tensors()) {
    const auto holds = [&](std::string_view part) {
      return tensor.name.find(part) != std::string::npos;
    };
    const bool leftover =
        std::any_of(kLeftovers.begin(), kLeftovers.end(), holds) ||
        (config.use_kappa_swiglu && std::any_of(kUnusedKappa.begin(), kUnusedKappa.end(), holds));
    if (!leftover && used.count(tensor.name) == 0) { unknown.push_back(tensor.name); }
  }
  return unknown;
}

}  // namespace kappascope::nanochat
