#include "core/model/families/hf_role_table.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "core/model/reading.h"

namespace kappascope::hf {
namespace {

constexpr std::int64_t kBlockOfFour = 32, kBlockOfEight = 128;  // numbers of one scale

std::int64_t blocks_of(std::int64_t extent) {
  return (extent + kBlockOfEight - 1) / kBlockOfEight;
}

bool is_eight_bits(DType dtype) {
  return dtype == DType::float8_e4m3;
}

// A tensor's shape where a role's is `shape` and its layout this.
Shape stored_shape(Shape shape, const TensorLayout& layout) {
  if (shape.size() < 2) { return shape; }
  if (layout.part != AxisPart::whole) { shape[shape.size() - (layout.of_rows ? 2 : 1)] *= 2; }
  if (layout.transposed) { std::swap(shape[shape.size() - 1], shape[shape.size() - 2]); }
  return shape;
}

}  // namespace

void RoleTable::fill(bool tied) {
  const std::string front = names_.front;
  add(Role::embedding, front + "embed_tokens.weight",
      {architecture_.padded_vocab, architecture_.width});
  for (layer_ = 0; layer_ < architecture_.depth(); ++layer_) {
    const LayerSpec& spec = architecture_.layers[layer_];
    fill_mixer(spec);
    fill_feed_forward(spec);
  }
  layer_ = -1;
  const NormSpec& norm = architecture_.output.norm;
  const Shape width{architecture_.width};
  if (norm.weight) { add(Role::output_norm, front + names_.output_norm, width); }
  if (norm.centred) { add(Role::output_norm_bias, bias_beside(front + names_.output_norm), width); }
  if (tied && file_.find("lm_head.weight") == nullptr) {
    model_.weights.tie(Role::head, Role::embedding);
  } else {
    add(Role::head, "lm_head.weight", {architecture_.padded_vocab, architecture_.width});
  }
  if (architecture_.output.bias) {
    add(Role::head_bias, "lm_head.bias", {architecture_.padded_vocab});
  }
}

void RoleTable::fill_feed_forward(const LayerSpec& spec) {
  const MoeSpec* moe = spec.moe();
  if (moe == nullptr) { return fill_dense(*spec.dense()); }
  fill_experts(*moe);
  if (moe->shared) { fill_shared(*moe->shared); }
}

void RoleTable::fill_dense(const DenseSpec& dense) {
  const std::int64_t width = architecture_.width, gates = dense.gates;
  row(Role::dense_gate, names_.dense_gate, {gates, width});
  row(Role::dense_up, names_.dense_up, {gates, width});
  row(Role::dense_down, names_.dense_down, {width, gates});
  if (!dense.bias) { return; }
  bias_row(Role::dense_gate_bias, names_.dense_gate, gates);
  bias_row(Role::dense_up_bias, names_.dense_up, gates);
  bias_row(Role::dense_down_bias, names_.dense_down, width);
}

void RoleTable::fill_experts(const MoeSpec& moe) {
  const std::int64_t experts = moe.router.experts, width = architecture_.width;
  const bool packed = has(names_.packed) || has(names_.packed_down) || !names_.gate;
  const bool apart = names_.gate != nullptr && has_apart();
  if (packed && apart) {
    faults_.add(ExitCode::damaged, full(names_.packed),
                "beside experts that have tensors of their own (", full(names_.gate, "0"),
                "); expected one of the two");
  }
  row(Role::router, packed && names_.router_beside ? names_.router_beside : names_.router,
      {experts, width});
  if (moe.router.logit_bias) { row(Role::router_bias, names_.router_bias, {experts}); }
  if (moe.router.selection_bias) {
    row(Role::selection_bias, names_.selection_bias,
        names_.selection_bias_row ? Shape{1, experts} : Shape{experts});
  }
  fill_expert_matrices(moe, packed);
}

void RoleTable::fill_expert_matrices(const MoeSpec& moe, bool packed) {
  const std::int64_t experts = moe.router.experts, width = architecture_.width;
  const Shape in{experts, width, moe.gates}, out{experts, moe.gates, width};
  if (names_.interleaved) {
    fill_interleaved(in, out, moe);
  } else if (packed && names_.packed) {
    row(Role::expert_gate, names_.packed, in, {true, AxisPart::first_half});
    row(Role::expert_up, names_.packed, in, {true, AxisPart::second_half});
    row(Role::expert_down, names_.packed_down, out, {true});
  } else {
    add_apart(Role::expert_gate, names_.gate, in);
    add_apart(Role::expert_up, names_.up, in);
    add_apart(Role::expert_down, names_.down, out);
  }
}

void RoleTable::fill_interleaved(const Shape& in, const Shape& out, const MoeSpec& moe) {
  const std::string both = names_.interleaved, down = names_.interleaved_down;
  const bool four_bits = has((both + "_blocks").c_str());
  if (four_bits && has(both.c_str())) {
    faults_.add(ExitCode::damaged, full(both.c_str()), "beside ", both,
                "_blocks; expected one of the two");
  }
  if (four_bits) {
    add_mxfp4(Role::expert_gate, both, in, AxisPart::even);
    add_mxfp4(Role::expert_up, both, in, AxisPart::odd);
    add_mxfp4(Role::expert_down, down, out, AxisPart::whole);
  } else {
    row(Role::expert_gate, both.c_str(), in, {false, AxisPart::even});
    row(Role::expert_up, both.c_str(), in, {false, AxisPart::odd});
    row(Role::expert_down, down.c_str(), out);
  }
  if (!moe.gate.bias) { return; }
  const Shape gates{in[0], in[2]};
  row(Role::expert_gate_bias, (both + "_bias").c_str(), gates, {false, AxisPart::even});
  row(Role::expert_up_bias, (both + "_bias").c_str(), gates, {false, AxisPart::odd});
  row(Role::expert_down_bias, (down + "_bias").c_str(), {out[0], out[2]});
}

void RoleTable::fill_shared(const SharedSpec& shared) {
  const Shape in{shared.gates, architecture_.width}, out{architecture_.width, shared.gates};
  if (names_.shared_packed) {
    row(Role::shared_gate, names_.shared_packed, in, {false, AxisPart::first_half, true});
    row(Role::shared_up, names_.shared_packed, in, {false, AxisPart::second_half, true});
  } else {
    row(Role::shared_gate, names_.shared_gate, in);
    row(Role::shared_up, names_.shared_up, in);
  }
  row(Role::shared_down, names_.shared_down, out);
  if (shared.bias) {
    bias_row(Role::shared_gate_bias, names_.shared_gate, shared.gates);
    bias_row(Role::shared_up_bias, names_.shared_up, shared.gates);
    bias_row(Role::shared_down_bias, names_.shared_down, architecture_.width);
  }
  if (shared.weighted) { row(Role::shared_weight, names_.shared_weight, {1, in[1]}); }
}

std::string RoleTable::full(std::string_view tail, std::string_view expert) const {
  std::string name = join_words(names_.front, "layers.", layer_, ".", tail);
  const std::size_t at = name.find('#');
  return at == name.npos || expert.empty() ? name : name.replace(at, 1, expert);
}
bool RoleTable::has(const char* tail) const {
  return tail != nullptr && file_.find(full(tail)) != nullptr;
}
bool RoleTable::has_apart() const {
  return file_.find(full(names_.gate, "0")) != nullptr ||
         file_.find(full(names_.down, "0")) != nullptr;
}

void RoleTable::row(Role role, const char* tail, Shape shape, TensorLayout layout) {
  require(tail != nullptr, ExitCode::internal, {}, "a family without a name for weight ",
          int(role));
  add(role, full(tail), std::move(shape), layout);
}

std::string RoleTable::bias_beside(std::string weight) {
  constexpr std::string_view kTail = "weight";
  require(weight.ends_with(kTail), ExitCode::internal, {}, "a bias beside ", weight);
  return weight.replace(weight.size() - kTail.size(), kTail.size(), "bias");
}
void RoleTable::bias_row(Role role, std::string_view weight, std::int64_t size) {
  row(role, bias_beside(std::string(weight)).c_str(), {size});
}

void RoleTable::add(Role role, std::string name, Shape shape, TensorLayout layout) {
  Stored weight{role, layer_, std::move(name), std::move(shape)};
  weight.layout = layout;
  weight.tensor = found(weight.name, stored_shape(weight.shape, layout));
  if (weight.tensor != nullptr && is_eight_bits(weight.tensor->dtype)) {
    add_block_scales(weight, weight.name, *weight.tensor);
  }
  model_.weights.add(std::move(weight));
}

void RoleTable::add_apart(Role role, const char* tail, Shape shape) {
  Stored weight{role, layer_, full(tail), std::move(shape)};
  weight.layout.transposed = true;
  const Shape one{weight.shape[2], weight.shape[1]};
  for (std::int64_t e = 0; e < weight.shape[0]; ++e) {
    const std::string name = full(tail, std::to_string(e));
    const TensorInfo* tensor = found(name, one);
    weight.experts.push_back(tensor);
    if (tensor != nullptr && is_eight_bits(tensor->dtype)) {
      add_block_scales(weight, name, *tensor);
    } else if (tensor != nullptr && weight.layout.scaling != ValueScaling::none) {
      faults_.add(ExitCode::damaged, name, "wrong type; expected float8_e4m3 as the experts ",
                  "before, found ", dtype_name(tensor->dtype));
    }
  }
  weight.tensor = weight.experts.empty() ? nullptr : weight.experts.front();
  model_.weights.add(std::move(weight));
}

void RoleTable::add_block_scales(Stored& weight, const std::string& name,
                                 const TensorInfo& tensor) {
  if (tensor.shape.size() != 2) { return; }  // a fault, which is noted
  weight.layout.scaling = ValueScaling::blocks;
  weight.scales.push_back(
      found(name + "_scale_inv", {blocks_of(tensor.shape[0]), blocks_of(tensor.shape[1])}));
}

// `shape` is the role's; blocks are of the inputs.
void RoleTable::add_mxfp4(Role role, const std::string& tail, const Shape& shape, AxisPart part) {
  Stored weight{role, layer_, full(tail + "_blocks"), shape};
  weight.layout = {true, part, false, ValueScaling::mxfp4};
  Shape rows = stored_shape(shape, weight.layout);  // [E, outputs, inputs]
  if (rows[2] % kBlockOfFour != 0) {
    faults_.add(ExitCode::unsupported, weight.name, "rows of ", rows[2],
                " numbers; expected a multiple of 32");
  }
  rows[2] /= kBlockOfFour;
  weight.scales = {found(full(tail + "_scales"), rows, true)};
  rows.push_back(kBlockOfFour / 2);
  weight.tensor = found(weight.name, rows, true);
  model_.weights.add(std::move(weight));
}

// The tensor, when it is there, of this shape and of a type that is read; else a fault.
const TensorInfo* RoleTable::found(const std::string& name, const Shape& shape, bool bytes) {
  const TensorInfo* tensor = file_.find(name);
  if (tensor == nullptr) {
    if (said_.insert(name).second) {
      faults_.add(ExitCode::damaged, name, "missing; expected ", shape_text(shape));
    }
    return nullptr;
  }
  if (!said_.insert(name).second) { return tensor; }
  if (tensor->shape != shape) {
    faults_.add(ExitCode::damaged, name, "wrong shape; expected ", shape_text(shape), ", found ",
                shape_text(tensor->shape));
  }
  const bool eight = is_eight_bits(tensor->dtype) && eight_bits_ && shape.size() == 2;
  if (bytes ? tensor->dtype != DType::uint8 : !is_float(tensor->dtype) && !eight) {
    faults_.add(ExitCode::unsupported, name, "wrong type; expected ",
                bytes ? "uint8" : "float32, bfloat16 or float16", ", found ",
                dtype_name(tensor->dtype));
  } else if (tensor->shape == shape) {
    const std::string reason = unreadable(file_, *tensor);
    if (!reason.empty()) { faults_.add(ExitCode::unsupported, name, reason); }
  }
  return tensor;
}

namespace {

// The layer of "model.layers.N.…"; −1: of none. `front`: "model.".
std::int64_t layer_of(std::string_view name, std::string_view front) {
  constexpr std::string_view kLayers = "layers.";
  std::int64_t layer = -1;
  if (!name.starts_with(front)) { return layer; }
  name.remove_prefix(front.size());
  if (name.starts_with(kLayers)) {
    std::from_chars(name.data() + kLayers.size(), name.data() + name.size(), layer);
  }
  return layer;
}

constexpr char kFurtherTokens[] = "heads for further tokens";

// What a tensor is that evaluation leaves out by its name; nullptr: none of these.
const char* kind_of_leftover(std::string_view name) {
  constexpr std::array<std::string_view, 3> kFronts = {"mtp.", "model.mtp.", "model.mtp_"};
  constexpr std::array<std::string_view, 6> kScales = {
      "_scale_inv", ".input_scale", ".weight_scale", ".k_scale", ".v_scale", ".activation_scale"};
  const auto begins = [&](std::string_view front) { return name.starts_with(front); };
  const auto ends = [&](std::string_view tail) { return name.ends_with(tail); };
  if (std::any_of(kFronts.begin(), kFronts.end(), begins)) { return kFurtherTokens; }
  if (begins("model.visual.")) { return "parts for pictures"; }
  if (ends(".rotary_emb.inv_freq")) { return "tables that are computed"; }
  if (std::any_of(kScales.begin(), kScales.end(), ends)) { return "scales of no weight"; }
  return nullptr;
}

}  // namespace

void assign_roles(Model& model, const ExpertNames& names, bool tied, bool eight_bits,
                  Faults& faults) {
  RoleTable(model, names, eight_bits, faults).fill(tied);
}

Leftovers leftovers(const Model& model, std::string_view front) {
  std::set<const TensorInfo*> used;
  for (const Stored& weight : model.weights.all()) {
    for (const TensorInfo* tensor : weight.tensors()) { used.insert(tensor); }
  }
  Leftovers result;
  for (const TensorInfo& tensor : model.tensors->tensors()) {
    if (used.count(&tensor) != 0) { continue; }
    const char* kind = layer_of(tensor.name, front) >= model.architecture.depth()
                           ? kFurtherTokens
                           : kind_of_leftover(tensor.name);
    (kind == nullptr ? result.unknown : result.by_rule[kind]).push_back(tensor.name);
  }
  return result;
}

}  // namespace kappascope::hf
