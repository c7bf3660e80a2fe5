#include "core/forward/weights.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <optional>

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
  }
  fail(ExitCode::internal, {}, "unknown tensor type");
}

// A value is NaN or Inf when every bit of its exponent is set. Counted by all threads, in blocks
// short enough for counters as wide as the values, which the compiler then adds side by side.
template <typename Bits>
std::uint64_t count_saturated(std::span<const std::byte> bytes, Bits exponent) {
  constexpr std::int64_t block = 4096;
  const auto values = std::int64_t(bytes.size() / sizeof(Bits));
  std::atomic<std::uint64_t> count = 0;
  const auto work = [&](std::int64_t first, std::int64_t last) {
    std::uint64_t found = 0;
    for (; first < last; first += block) {
      const std::byte* from = bytes.data() + std::size_t(first) * sizeof(Bits);
      const auto size = std::size_t(std::min(block, last - first));
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
  at::parallel_for(0, values, 64 * block, work);
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
  at::Tensor stored(const std::string& role) { return as_type(role, {}); }

  // A view of the file, or of the copy that tensors of other layouts need.
  at::Tensor mapped(const std::string& role) {
    const TensorInfo* info = model_.tensor(role);
    if (!info) { return {}; }
    const auto bytes = model_.tensors->data(*info);
    const at::Tensor view = at::from_blob(const_cast<std::byte*>(bytes.data()), info->shape,
                                          at::TensorOptions(scalar_type(info->dtype)));
    return info->dtype == DType::float64 ? view.to(at::kFloat) : view;
  }

  at::Tensor as_type(const std::string& role, std::optional<at::ScalarType> wanted) {
    const at::Tensor raw = mapped(role);
    if (!raw.defined()) { return raw; }
    const at::ScalarType type = wanted.value_or(raw.scalar_type());
    if (raw.scalar_type() == type && result_.device.is_cpu()) { return raw; }
    at::Tensor converted = raw.to(result_.device).to(type);
    const TensorInfo* info = model_.tensor(role);
    if (!model_.tensors->copied(*info)) {
      model_.tensors->file().release(info->offset, info->bytes);
    }
    return converted;
  }
  at::Tensor matrix(const std::string& role) { return as_type(role, compute_); }
  at::Tensor float32(const std::string& role) { return as_type(role, at::kFloat); }

  Weights load();

 private:
  void count_nonfinite_weights();
  std::vector<float> lambdas(const std::string& role, float absent);
  MoeWeights moe(const std::string& prefix);

  const Model& model_;
  at::ScalarType compute_;
  Progress& progress_;
  Weights result_;
};

// One pass over every byte, which also brings the file into memory.
void Loader::count_nonfinite_weights() {
  constexpr std::size_t piece = 16 << 20;
  std::uint64_t done = 0, total = 0;
  for (const WeightRole& role : model_.weights) { total += role.tensor ? role.tensor->bytes : 0; }
  for (const WeightRole& role : model_.weights) {
    if (!role.tensor) { continue; }
    const auto bytes = model_.tensors->data(*role.tensor);
    std::uint64_t found = 0;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      const auto part = bytes.subspan(at, std::min(piece, bytes.size() - at));
      found += count_nonfinite(part, role.tensor->dtype);
      done += part.size();
      if (!progress_.update("load", done, total)) {
        throw Error(ExitCode::interrupted, "interrupted while loading weights");
      }
    }
    if (found) { result_.nonfinite_in.push_back(role.tensor->name); }
    result_.nonfinite += found;
  }
}

// [L], or [steps,L] averaged over the steps.
std::vector<float> Loader::lambdas(const std::string& role, float absent) {
  const at::Tensor values = float32(role);
  std::vector<float> result(std::size_t(model_.config.n_layer), absent);
  if (!values.defined()) { return result; }
  const at::Tensor mean = (values.dim() == 2 ? values.mean(0) : values).cpu();
  std::copy_n(mean.contiguous().data_ptr<float>(), result.size(), result.begin());
  return result;
}

// score_norm: SPEC §1.5, in float32 as the reference computes it.
std::vector<float> score_norms(const at::Tensor& w_g, double exponent) {
  const double root_width = std::sqrt(double(w_g.size(1)));
  const at::Tensor m = (w_g.square().sum(1) + 1e-4).sqrt();
  const at::Tensor norm = root_width * m.pow(exponent) * m.pow(1 - exponent).mean();
  const at::Tensor flat = norm.contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

MoeWeights Loader::moe(const std::string& prefix) {
  MoeWeights moe;
  moe.w_g = float32(prefix + "router.w_g.weight");
  const at::Tensor stored_bias = float32(prefix + "router.expert_bias");
  if (model_.config.use_aux_free_load_balancing && stored_bias.defined()) {
    const at::Tensor bias = stored_bias.cpu();
    moe.expert_bias.assign(bias.data_ptr<float>(), bias.data_ptr<float>() + bias.numel());
  }
  if (model_.config.kappa_input_logit_norm_exponent > 0) {
    moe.score_norm = score_norms(moe.w_g.cpu(), model_.config.kappa_input_logit_norm_exponent);
  }
  moe.gate_proj = matrix(prefix + "experts.gate_proj");
  moe.c_fc = matrix(prefix + "experts.c_fc");
  moe.c_proj = matrix(prefix + "experts.c_proj");
  return moe;
}

Weights Loader::load() {
  count_nonfinite_weights();
  result_.wte = stored("transformer.wte.weight");
  result_.lm_head = matrix("lm_head.weight");
  const auto resid = lambdas("resid_lambdas", 1), x0 = lambdas("x0_lambdas", 0);
  for (std::int64_t i = 0; i < model_.config.n_layer; ++i) {
    const std::string prefix = join_words("transformer.h.", i, ".");
    LayerWeights layer;
    layer.resid_lambda = resid[i];
    layer.x0_lambda = x0[i];
    AttentionWeights& attention = layer.attention;
    attention.c_q = matrix(prefix + "attn.c_q.weight");
    attention.c_k = matrix(prefix + "attn.c_k.weight");
    attention.c_v = matrix(prefix + "attn.c_v.weight");
    attention.c_proj = matrix(prefix + "attn.c_proj.weight");
    if (model_.layers[i].value_embedding) {
      attention.ve_gate = float32(prefix + "attn.ve_gate.weight");
      attention.value_embed = stored(join_words("value_embeds.", i, ".weight"));
    }
    if (model_.layers[i].moe) {
      layer.moe = moe(prefix + "mlp.");
    } else {
      if (model_.config.use_qwen3_dense_mlp) {
        layer.dense.gate_proj = matrix(prefix + "mlp.gate_proj.weight");
      }
      layer.dense.c_fc = matrix(prefix + "mlp.c_fc.weight");
      layer.dense.c_proj = matrix(prefix + "mlp.c_proj.weight");
    }
    result_.layers.push_back(std::move(layer));
  }
  return std::move(result_);
}

}  // namespace

Weights load_weights(const Model& model, ComputeType dtype, at::Device device, Progress& progress) {
  return Loader(model, dtype, device, progress).load();
}

}  // namespace kappascope
