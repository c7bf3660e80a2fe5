#include "core/model/families/hf_weights.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <utility>

#include "core/model/reading.h"

namespace kappascope::hf {
namespace {

using Shape = std::vector<std::int64_t>;

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

class RoleTable {
 public:
  RoleTable(Model& model, const ExpertNames& names, bool eight_bits, Faults& faults)
      : model_(model),
        architecture_(model.architecture),
        file_(*model.tensors),
        names_(names),
        eight_bits_(eight_bits),
        faults_(faults) {}

  void fill(bool tied) {
    add(Role::embedding, "model.embed_tokens.weight",
        {architecture_.padded_vocab, architecture_.width});
    for (layer_ = 0; layer_ < architecture_.depth(); ++layer_) {
      const LayerSpec& spec = architecture_.layers[layer_];
      fill_attention(spec);
      if (const MoeSpec* moe = spec.moe()) {
        fill_experts(*moe);
        if (moe->shared) { fill_shared(*moe->shared); }
      } else {
        fill_dense(spec.gates());
      }
    }
    layer_ = -1;
    if (architecture_.output.norm.weight) {
      add(Role::output_norm, "model.norm.weight", {architecture_.width});
    }
    if (tied && file_.find("lm_head.weight") == nullptr) {
      model_.weights.tie(Role::head, Role::embedding);
    } else {
      add(Role::head, "lm_head.weight", {architecture_.padded_vocab, architecture_.width});
    }
  }

 private:
  void fill_attention(const LayerSpec& spec) {
    const AttentionSpec& attention = spec.attention;
    const std::int64_t width = architecture_.width;
    const std::int64_t queries = attention.heads * attention.head_width;
    const std::int64_t keys = attention.kv_heads * attention.head_width;
    if (spec.attention_norm.weight) {
      row(Role::attention_norm, "input_layernorm.weight", {width});
    }
    row(Role::attention_query, "self_attn.q_proj.weight", {queries, width});
    row(Role::attention_key, "self_attn.k_proj.weight", {keys, width});
    row(Role::attention_value, "self_attn.v_proj.weight", {keys, width});
    row(Role::attention_output, "self_attn.o_proj.weight", {width, queries});
    if (attention.input_bias) {
      row(Role::query_bias, "self_attn.q_proj.bias", {queries});
      row(Role::key_bias, "self_attn.k_proj.bias", {keys});
      row(Role::value_bias, "self_attn.v_proj.bias", {keys});
    }
    if (attention.output_bias) { row(Role::output_bias, "self_attn.o_proj.bias", {width}); }
    if (attention.norm == QueryKeyNorm::per_head || attention.norm == QueryKeyNorm::whole) {
      const bool whole = attention.norm == QueryKeyNorm::whole;
      row(Role::query_norm, "self_attn.q_norm.weight", {whole ? queries : attention.head_width});
      row(Role::key_norm, "self_attn.k_norm.weight", {whole ? keys : attention.head_width});
    }
    if (attention.sinks) { row(Role::sinks, "self_attn.sinks", {attention.heads}); }
    if (spec.feed_forward_norm.weight) {
      row(Role::feed_forward_norm, "post_attention_layernorm.weight", {width});
    }
  }

  void fill_dense(std::int64_t gates) {
    const std::int64_t width = architecture_.width;
    row(Role::dense_gate, "mlp.gate_proj.weight", {gates, width});
    row(Role::dense_up, "mlp.up_proj.weight", {gates, width});
    row(Role::dense_down, "mlp.down_proj.weight", {width, gates});
  }

  void fill_experts(const MoeSpec& moe) {
    const std::int64_t experts = moe.router.experts, gates = moe.gates;
    const std::int64_t width = architecture_.width;
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
    const Shape in{experts, width, gates}, out{experts, gates, width};
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

  void fill_interleaved(const Shape& in, const Shape& out, const MoeSpec& moe) {
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

  void fill_shared(const SharedSpec& shared) {
    const Shape in{shared.gates, architecture_.width}, out{architecture_.width, shared.gates};
    if (names_.shared_packed) {
      row(Role::shared_gate, names_.shared_packed, in, {false, AxisPart::first_half, true});
      row(Role::shared_up, names_.shared_packed, in, {false, AxisPart::second_half, true});
    } else {
      row(Role::shared_gate, names_.shared_gate, in);
      row(Role::shared_up, names_.shared_up, in);
    }
    row(Role::shared_down, names_.shared_down, out);
    if (shared.weighted) { row(Role::shared_weight, names_.shared_weight, {1, in[1]}); }
  }

  std::string full(std::string_view tail, std::string_view expert = "") const {
    std::string name = join_words("model.layers.", layer_, ".", tail);
    const std::size_t at = name.find('#');
    return at == name.npos || expert.empty() ? name : name.replace(at, 1, expert);
  }
  bool has(const char* tail) const { return tail != nullptr && file_.find(full(tail)) != nullptr; }
  bool has_apart() const {
    return file_.find(full(names_.gate, "0")) != nullptr ||
           file_.find(full(names_.down, "0")) != nullptr;
  }

  void row(Role role, const char* tail, Shape shape, TensorLayout layout = {}) {
    require(tail != nullptr, ExitCode::internal, {}, "a family without a name for weight ",
            int(role));
    add(role, full(tail), std::move(shape), layout);
  }

  void add(Role role, std::string name, Shape shape, TensorLayout layout = {}) {
    Stored weight{role, layer_, std::move(name), std::move(shape)};
    weight.layout = layout;
    weight.tensor = found(weight.name, stored_shape(weight.shape, layout));
    if (weight.tensor != nullptr && is_eight_bits(weight.tensor->dtype)) {
      add_block_scales(weight, weight.name, *weight.tensor);
    }
    model_.weights.add(std::move(weight));
  }

  void add_apart(Role role, const char* tail, Shape shape) {
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

  void add_block_scales(Stored& weight, const std::string& name, const TensorInfo& tensor) {
    weight.layout.scaling = ValueScaling::blocks;
    weight.scales.push_back(
        found(name + "_scale_inv", {blocks_of(tensor.shape[0]), blocks_of(tensor.shape[1])}));
  }

  // `shape` is the role's; blocks are of the inputs.
  void add_mxfp4(Role role, const std::string& tail, const Shape& shape, AxisPart part) {
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
  const TensorInfo* found(const std::string& name, const Shape& shape, bool bytes = false) {
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

  Model& model_;
  const Architecture& architecture_;
  const TensorFile& file_;
  const ExpertNames& names_;
  bool eight_bits_;
  Faults& faults_;
  std::int64_t layer_ = -1;
  std::set<std::string> said_;  // tensors that were looked at
};

// The layer of "model.layers.N.…"; −1: of none.
std::int64_t layer_of(std::string_view name) {
  constexpr std::string_view kFront = "model.layers.";
  std::int64_t layer = -1;
  if (name.starts_with(kFront)) {
    std::from_chars(name.data() + kFront.size(), name.data() + name.size(), layer);
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
  if (ends(".rotary_emb.inv_freq")) { return "tables that are computed"; }
  if (std::any_of(kScales.begin(), kScales.end(), ends)) { return "scales of no weight"; }
  return nullptr;
}

}  // namespace

void assign_roles(Model& model, const ExpertNames& names, bool tied, bool eight_bits,
                  Faults& faults) {
  RoleTable(model, names, eight_bits, faults).fill(tied);
}

Leftovers leftovers(const Model& model) {
  std::set<const TensorInfo*> used;
  for (const Stored& weight : model.weights.all()) {
    for (const TensorInfo* tensor : weight.tensors()) { used.insert(tensor); }
  }
  Leftovers result;
  for (const TensorInfo& tensor : model.tensors->tensors()) {
    if (used.count(&tensor) != 0) { continue; }
    const char* kind = layer_of(tensor.name) >= model.architecture.depth()
                           ? kFurtherTokens
                           : kind_of_leftover(tensor.name);
    (kind == nullptr ? result.unknown : result.by_rule[kind]).push_back(tensor.name);
  }
  return result;
}

}  // namespace kappascope::hf
