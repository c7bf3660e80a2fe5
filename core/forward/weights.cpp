#include "core/forward/weights.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>

namespace kappascope {
namespace {

at::ScalarType scalar_type(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return at::kFloat;
    case DType::bfloat16:
      return at::kBFloat16;
    case DType::float16:
      return at::kHalf;
    case DType::int64:
      return at::kLong;
    case DType::int32:
      return at::kInt;
    case DType::uint8:
      return at::kByte;
    case DType::boolean:
      return at::kBool;
    case DType::float64:
      return at::kDouble;
    default:
      break;  // no weight as it is
  }
  fail(ExitCode::internal, {}, "unknown tensor type");
}

// A value is NaN or Inf when every bit of its exponent is set. Counted by all threads, in blocks
// short enough for counters as wide as the values, which the compiler then adds side by side.
template <typename Bits>
std::uint64_t count_saturated(std::span<const std::byte> bytes, Bits exponent) {
  constexpr std::int64_t kBlock = 4096;
  const auto values = std::int64_t(bytes.size() / sizeof(Bits));
  std::atomic<std::uint64_t> count = 0;
  const auto work = [&](std::int64_t first, std::int64_t last) {
    std::uint64_t found = 0;
    for (; first < last; first += kBlock) {
      const std::byte* from = bytes.data() + std::size_t(first) * sizeof(Bits);
      const auto size = std::size_t(std::min(kBlock, last - first));
      Bits here = 0;
      for (std::size_t i = 0; i < size; ++i) {
        Bits bits;
        std::memcpy(&bits, from + i * sizeof(Bits), sizeof(Bits));
        here = Bits(here + ((bits & exponent) == exponent));
      }
      found += here;
    }
    count += found;
  };
  at::parallel_for(0, values, 64 * kBlock, work);
  return count;
}

// Of numbers that will be narrowed to float32.
std::uint64_t count_over_float32(std::span<const std::byte> bytes) {
  std::uint64_t count = 0;
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(double)) {
    double value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    count += std::isfinite(static_cast<float>(value)) ? 0 : 1;
  }
  return count;
}

std::uint64_t count_nonfinite(std::span<const std::byte> bytes, DType dtype) {
  switch (dtype) {
    case DType::float32:
      return count_saturated<std::uint32_t>(bytes, 0x7f800000u);
    case DType::bfloat16:
      return count_saturated<std::uint16_t>(bytes, 0x7f80);
    case DType::float16:
      return count_saturated<std::uint16_t>(bytes, 0x7c00);
    case DType::float64:
      return count_over_float32(bytes);
    default:
      return 0;
  }
}

class Loader {
 public:
  Loader(const Model& model, ComputeType dtype, at::Device device, Progress& progress)
      : model_(model),
        compute_(dtype == ComputeType::bfloat16 ? at::kBFloat16 : at::kFloat),
        progress_(progress) {
    result_.device = device;
  }

  // As stored, but float64 as float32; on the CPU a view of the file where it is there so.
  at::Tensor stored(Role role, std::int64_t layer = -1) { return as_type(role, layer, {}); }

  // Of float32, each matrix put into the order of its role.
  at::Tensor converted(const Stored& weight, at::ScalarType type) {
    at::Tensor result = at::empty(weight.shape, at::TensorOptions(type));
    const std::int64_t size = weight.shape.size() < 2
                                  ? weight.elements()
                                  : weight.shape.end()[-1] * weight.shape.end()[-2];
    at::parallel_for(0, weight.elements() / size, 1, [&](std::int64_t first, std::int64_t last) {
      const at::InferenceMode no_gradients;
      for (std::int64_t i = first; i < last; ++i) {
        const at::Tensor part = result.view({-1, size}).select(0, i);
        const at::Tensor values = type == at::kFloat ? part : at::empty({size});
        read_matrix(*model_.tensors, weight, i, values.mutable_data_ptr<float>());
        if (type != at::kFloat) { part.copy_(values); }
      }
    });
    return result;
  }

  // A view of the file, or of the copy that tensors of other layouts need.
  at::Tensor mapped(Role role, std::int64_t layer) {
    const TensorInfo* info = model_.weights.tensor(role, layer);
    if (!info) { return {}; }
    const auto bytes = model_.tensors->data(*info);
    const at::Tensor view = at::from_blob(const_cast<std::byte*>(bytes.data()), info->shape,
                                          at::TensorOptions(scalar_type(info->dtype)));
    return info->dtype == DType::float64 ? view.to(at::kFloat) : view;
  }

  at::Tensor as_type(Role role, std::int64_t layer, std::optional<at::ScalarType> wanted) {
    const Stored* weight = model_.weights.find(role, layer);
    if (weight != nullptr && weight->tensor != nullptr && !weight->as_it_is()) {
      return converted(*weight, wanted.value_or(at::kFloat)).to(result_.device);
    }
    const at::Tensor raw = mapped(role, layer);
    if (!raw.defined()) { return raw; }
    const at::ScalarType type = wanted.value_or(raw.scalar_type());
    if (raw.scalar_type() == type && result_.device.is_cpu()) { return raw; }
    at::Tensor converted = raw.to(result_.device).to(type);
    const TensorInfo* info = model_.weights.tensor(role, layer);
    model_.tensors->release(*info);
    return converted;
  }
  at::Tensor matrix(Role role, std::int64_t layer = -1) { return as_type(role, layer, compute_); }
  at::Tensor float32(Role role, std::int64_t layer = -1) {
    return as_type(role, layer, at::kFloat);
  }

  Weights load();

 private:
  void count_nonfinite_weights();
  std::vector<PassFactors> lambdas(Role role, float absent);
  PassFactors source_lambdas();
  at::Tensor side_of(const at::Tensor& both, bool residual) const;
  AttentionWeights attention(std::int64_t layer);
  DenseWeights dense(std::int64_t layer);
  MoeWeights moe(std::int64_t layer, const MoeSpec& spec);

  const Model& model_;
  at::ScalarType compute_;
  Progress& progress_;
  Weights result_;
};

// One pass over every byte, which also brings the file into memory.
void Loader::count_nonfinite_weights() {
  constexpr std::size_t kPiece = 16 << 20;
  std::uint64_t done = 0, total = 0;
  // Gate and up may be one tensor.
  std::vector<const TensorInfo*> tensors;
  std::set<const TensorInfo*> seen;
  for (const Stored& weight : model_.weights.all()) {
    for (const TensorInfo* tensor : weight.tensors()) {
      if (!seen.insert(tensor).second) { continue; }
      tensors.push_back(tensor);
      total += tensor->bytes;
    }
  }
  for (const TensorInfo* tensor : tensors) {
    const auto bytes = model_.tensors->data(*tensor);
    std::uint64_t found = 0;
    for (std::size_t at = 0; at < bytes.size(); at += kPiece) {
      const auto part = bytes.subspan(at, std::min(kPiece, bytes.size() - at));
      found += count_nonfinite(part, tensor->dtype);
      done += part.size();
      if (!progress_.update(Stage::load, done, total)) {
        throw Error(ExitCode::interrupted, "interrupted while loading weights");
      }
    }
    if (found) { result_.nonfinite_in.push_back(tensor->name); }
    result_.nonfinite += found;
  }
}

std::vector<float> host_values(const at::Tensor& values) {
  const at::Tensor host = values.cpu().contiguous();
  return {host.const_data_ptr<float>(), host.const_data_ptr<float>() + host.numel()};
}

// [L] of every pass alike, or [passes,L]: by pass where passes begin at the embedding, else their
// mean, as the reference of those days loads them (SPEC-layouts §1.4a).
std::vector<PassFactors> Loader::lambdas(Role role, float absent) {
  const std::int64_t layers = model_.architecture.depth();
  std::vector<PassFactors> result(std::size_t(layers), PassFactors{{absent}});
  at::Tensor values = float32(role);
  if (!values.defined()) { return result; }
  if (values.dim() == 1) { values = values.unsqueeze(0); }
  if (!model_.architecture.recurrence.anchored && values.size(0) > 1) {
    values = values.mean(0, true);
  }
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    result[layer].values = host_values(values.select(1, layer));
  }
  return result;
}

PassFactors Loader::source_lambdas() {
  const at::Tensor values = float32(Role::ut_source_lambdas);
  if (!values.defined()) { return {}; }
  const std::int64_t column = model_.architecture.recurrence.destination;
  return {host_values(values.dim() == 2 ? values.select(1, column) : values)};
}

// score_norm: SPEC §1.5, in float32 as the reference computes it.
std::vector<float> score_norms(const at::Tensor& w_g, double exponent) {
  const double root_width = std::sqrt(double(w_g.size(1)));
  const at::Tensor m = (w_g.square().sum(1) + 1e-4).sqrt();
  const at::Tensor norm = root_width * m.pow(exponent) * m.pow(1 - exponent).mean();
  const at::Tensor flat = norm.contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

// The part of [2·E,…] that is read: the first, or the second, alone or added to the first.
at::Tensor Loader::side_of(const at::Tensor& both, bool residual) const {
  const KappaSlots& slots = model_.architecture.kappa_slots;
  const std::int64_t half = both.size(0) / 2;
  if (slots.side != KappaSide::sft) { return both.narrow(0, 0, half).contiguous(); }
  const at::Tensor second = both.narrow(0, half, half);
  const bool added = residual && slots.sft == SftKappa::residual;
  return added ? both.narrow(0, 0, half) + second : second.contiguous();
}

MoeWeights Loader::moe(std::int64_t layer, const MoeSpec& spec) {
  MoeWeights moe;
  moe.w_g = float32(Role::router, layer);
  const at::Tensor stored_bias = float32(Role::selection_bias, layer);
  if (spec.router.selection_bias && stored_bias.defined()) {
    moe.expert_bias = host_values(stored_bias);
  }
  if (spec.score && spec.score->input == KappaInput::top_logits && spec.score->norm_exponent > 0) {
    moe.score_norm = score_norms(moe.w_g.cpu(), spec.score->norm_exponent);
  }
  if (spec.score && spec.score->router) {
    const std::int64_t experts = spec.router.experts;
    moe.kappa_router = float32(Role::kappa_router, layer);
    if (moe.kappa_router.size(0) > experts) { moe.kappa_router = side_of(moe.kappa_router, true); }
    moe.kappa_router_bias = float32(Role::kappa_router_bias, layer);
    if (moe.kappa_router_bias.defined() && moe.kappa_router_bias.size(0) > experts) {
      moe.kappa_router_bias = side_of(moe.kappa_router_bias, false);
    }
  }
  moe.gate_proj = matrix(Role::expert_gate, layer);
  moe.c_fc = matrix(Role::expert_up, layer);
  moe.c_proj = matrix(Role::expert_down, layer);
  moe.router_bias = float32(Role::router_bias, layer);
  moe.gate_bias = float32(Role::expert_gate_bias, layer);
  moe.up_bias = float32(Role::expert_up_bias, layer);
  moe.down_bias = float32(Role::expert_down_bias, layer);
  moe.shared = {matrix(Role::shared_gate, layer), matrix(Role::shared_up, layer),
                matrix(Role::shared_down, layer)};
  moe.shared_weight = float32(Role::shared_weight, layer);
  return moe;
}

AttentionWeights Loader::attention(std::int64_t layer) {
  AttentionWeights attention;
  attention.c_q = matrix(Role::attention_query, layer);
  attention.c_k = matrix(Role::attention_key, layer);
  attention.c_v = matrix(Role::attention_value, layer);
  attention.c_proj = matrix(Role::attention_output, layer);
  attention.q_norm = float32(Role::query_norm, layer);
  attention.k_norm = float32(Role::key_norm, layer);
  attention.q_bias = float32(Role::query_bias, layer);
  attention.k_bias = float32(Role::key_bias, layer);
  attention.v_bias = float32(Role::value_bias, layer);
  attention.o_bias = float32(Role::output_bias, layer);
  attention.sinks = float32(Role::sinks, layer);
  if (model_.architecture.layers[layer].attention.value_embedding) {
    attention.ve_gate = float32(Role::value_gate, layer);
    attention.value_embed = stored(Role::value_embedding, layer);
  }
  return attention;
}

DenseWeights Loader::dense(std::int64_t layer) {
  DenseWeights dense;
  if (model_.architecture.layers[layer].gated()) {
    dense.gate_proj = matrix(Role::dense_gate, layer);
  }
  dense.c_fc = matrix(Role::dense_up, layer);
  dense.c_proj = matrix(Role::dense_down, layer);
  return dense;
}

Weights Loader::load() {
  count_nonfinite_weights();
  result_.wte = stored(Role::embedding);
  result_.lm_head = matrix(Role::head);
  result_.output_norm = float32(Role::output_norm);
  result_.source_lambda = source_lambdas();
  const auto resid = lambdas(Role::resid_lambdas, 1), x0 = lambdas(Role::x0_lambdas, 0);
  for (std::int64_t i = 0; i < model_.architecture.depth(); ++i) {
    LayerWeights layer;
    layer.resid_lambda = resid[i];
    layer.x0_lambda = x0[i];
    layer.attention_norm = float32(Role::attention_norm, i);
    layer.feed_forward_norm = float32(Role::feed_forward_norm, i);
    layer.attention = attention(i);
    if (const MoeSpec* spec = model_.architecture.layers[i].moe()) {
      layer.moe = moe(i, *spec);
    } else {
      layer.dense = dense(i);
    }
    result_.layers.push_back(std::move(layer));
  }
  return std::move(result_);
}

}  // namespace

Weights read_weights(const Model& model, ComputeType dtype, at::Device device, Progress& progress) {
  return Loader(model, dtype, device, progress).load();
}

}  // namespace kappascope
