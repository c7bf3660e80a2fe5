#include "core/forward/weights.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "core/forward/device.h"
#include "core/forward/layer_source.h"
#include "core/forward/mixer_weights.h"
#include "core/forward/tensor_bytes.h"

namespace kappascope {
namespace {

// Of one model; nothing in it changes once it is made.
class Loader final : public WeightReader, public std::enable_shared_from_this<Loader> {
 public:
  Loader(const Model& model, const LoadOptions& options, at::Device device, const MemoryPlan& plan)
      : model_(model),
        compute_(options.dtype == ComputeType::bfloat16 ? at::kBFloat16 : at::kFloat),
        by_cpu_(options.device == ComputeDevice::cpu),
        device_(device),
        streamed_(plan.streamed),
        keeps_head_(plan.keeps_head),
        on_demand_(plan.streamed && by_cpu_),
        resid_(lambdas(Role::resid_lambdas, 1)),
        x0_(lambdas(Role::x0_lambdas, 0)) {}

  std::int64_t layers() const override { return model_.architecture.depth(); }
  LayerWeights layer(std::int64_t layer) const override;
  at::Tensor head() const override { return matrix(Role::head); }
  void prefetch(std::int64_t layer, std::int64_t tokens) const override;
  Weights load(Progress& progress) const;

 private:
  // As stored, but float64 as float32.
  at::Tensor stored(Role role, std::int64_t layer = -1) const { return as_type(role, layer, {}); }
  at::Tensor matrix(Role role, std::int64_t layer = -1) const {
    return as_type(role, layer, compute_);
  }
  at::Tensor float32(Role role, std::int64_t layer = -1) const {
    return as_type(role, layer, at::kFloat);
  }
  at::Tensor as_type(Role role, std::int64_t layer, std::optional<at::ScalarType> wanted) const;
  at::Tensor raw(const TensorInfo& info) const;
  at::Tensor converted(const Stored& weight, at::ScalarType type) const;
  RowTable table(Role role, std::int64_t layer = -1) const;
  at::ScalarType kept_type(const Stored& weight) const;
  at::Tensor experts(Role role, std::int64_t layer) const;
  at::Tensor expert_matrix(Role role, std::int64_t layer, std::int64_t expert) const;

  void count_nonfinite_weights(Weights& result, Progress& progress) const;
  std::vector<PassFactors> lambdas(Role role, float absent) const;
  PassFactors source_lambdas() const;
  at::Tensor side_of(const at::Tensor& both, bool residual) const;
  LayerReader reader(std::int64_t layer = -1) const;
  DenseWeights dense(std::int64_t layer) const;
  MoeWeights moe(std::int64_t layer, const MoeSpec& spec) const;

  const Model& model_;
  const at::ScalarType compute_;
  const bool by_cpu_;  // whose products widen as they go
  const at::Device device_;
  const bool streamed_;                        // layers stay in the file
  const bool keeps_head_;                      // and the head in memory
  const bool on_demand_;                       // and of experts each matrix, until it is multiplied
  const std::vector<PassFactors> resid_, x0_;  // [L]
};

// A whole tensor: a view of the file, or of the copy that tensors of other layouts need.
at::Tensor Loader::raw(const TensorInfo& info) const {
  const auto bytes = model_.tensors->data(info);
  const at::Tensor view = at::from_blob(const_cast<std::byte*>(bytes.data()), info.shape,
                                        at::TensorOptions(scalar_type(info.dtype)));
  return info.dtype == DType::float64 ? view.to(at::kFloat) : view;
}

// Of float32, each matrix put into the order of its role.
at::Tensor Loader::converted(const Stored& weight, at::ScalarType type) const {
  at::Tensor result = at::empty(weight.shape, at::TensorOptions(type));
  const std::int64_t size =
      weight.shape.size() < 2 ? weight.elements() : weight.shape.end()[-1] * weight.shape.end()[-2];
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

at::Tensor Loader::as_type(Role role, std::int64_t layer,
                           std::optional<at::ScalarType> wanted) const {
  const Stored* weight = model_.weights.find(role, layer);
  const TensorInfo* info = weight == nullptr ? nullptr : weight->tensor;
  if (!info) { return {}; }
  if (!weight->as_it_is()) { return converted(*weight, wanted.value_or(at::kFloat)).to(device_); }
  if (on_demand_) { return read_part(*model_.tensors, *info, 0, info->shape, wanted); }
  const at::Tensor whole = raw(*info);
  const at::ScalarType type = wanted.value_or(whole.scalar_type());
  if (whole.scalar_type() == type && by_cpu_) { return whole; }
  // A GPU has memory of its own, aligned as its kernels need it, also the emulated one.
  const at::Tensor there =
      by_cpu_ ? whole : whole.to(device_, whole.scalar_type(), false, /*copy=*/true);
  at::Tensor converted = there.to(type);
  model_.tensors->release(*info);
  return converted;
}

RowTable Loader::table(Role role, std::int64_t layer) const {
  const Stored* weight = model_.weights.find(role, layer);
  if (!streamed_ || weight == nullptr || !weight->as_it_is()) { return {stored(role, layer), {}}; }
  return {{}, [self = shared_from_this(), role, layer](const at::Tensor& ids) {
            const TensorInfo& info = self->model_.weights.required(role, layer);
            const std::int64_t width = info.shape[1];
            std::vector<at::Tensor> rows;
            const at::Tensor host = ids.cpu().contiguous();
            for (std::int64_t t = 0; t < host.numel(); ++t) {
              const std::int64_t id = host.const_data_ptr<std::int64_t>()[t];
              rows.push_back(read_part(*self->model_.tensors, info, id * width, {width}));
            }
            return at::stack(rows).to(self->device_);
          }};
}

// Whether a matrix is stored [out,in], its rows together: it is then turned as it is widened.
bool rows_are_outputs(const Stored& weight) {
  const TensorLayout& layout = weight.layout;
  return layout.transposed && !layout.of_rows && layout.scaling == ValueScaling::none &&
         (layout.part == AxisPart::whole || layout.part == AxisPart::first_half ||
          layout.part == AxisPart::second_half);
}

at::Tensor Loader::expert_matrix(Role role, std::int64_t layer, std::int64_t expert) const {
  const Stored& weight = *model_.weights.find(role, layer);
  const std::int64_t in = weight.shape[1], out = weight.shape[2];
  if (compute_ == at::kFloat && kept_type(weight) == at::kBFloat16 && rows_are_outputs(weight)) {
    const bool apart = !weight.experts.empty();
    const std::int64_t rows = weight.layout.part == AxisPart::whole ? out : 2 * out;
    const std::int64_t first = weight.layout.part == AxisPart::second_half ? out : 0;
    const TensorInfo& tensor = apart ? *weight.experts[expert] : *weight.tensor;
    return read_part(*model_.tensors, tensor, ((apart ? 0 : expert * rows) + first) * in, {out, in})
        .t();
  }
  if (!weight.as_it_is()) {
    const at::Tensor values = at::empty({in, out});
    read_matrix(*model_.tensors, weight, expert, values.mutable_data_ptr<float>());
    return values.to(kept_type(weight));
  }
  return read_part(*model_.tensors, *weight.tensor, expert * in * out, {in, out},
                   kept_type(weight));
}

at::Tensor Loader::experts(Role role, std::int64_t layer) const {
  const Stored* weight = model_.weights.find(role, layer);
  return weight == nullptr ? at::Tensor() : as_type(role, layer, kept_type(*weight));
}

// Of the matrices of experts, which are nearly all of a model: on the CPU bfloat16 is widened a
// tile at a time where float32 is multiplied.
at::ScalarType Loader::kept_type(const Stored& weight) const {
  return weight.is_bfloat16() && by_cpu_ ? at::kBFloat16 : compute_;
}

// The matrices of experts; with so few tokens that many experts have none, those of the chosen ones
// are read when they are known.
void Loader::prefetch(std::int64_t layer, std::int64_t tokens) const {
  const MoeSpec* moe = model_.architecture.layers[layer].moe();
  if (moe == nullptr || tokens * moe->router.slots < moe->router.experts) { return; }
  for (const Role role : {Role::expert_gate, Role::expert_up, Role::expert_down}) {
    for (const TensorInfo* tensor : model_.weights.find(role, layer)->tensors()) {
      model_.tensors->prefetch(*tensor);
    }
  }
}

// One pass over every byte, which also brings the file into memory where it is to stay there.
void Loader::count_nonfinite_weights(Weights& result, Progress& progress) const {
  constexpr std::size_t kPiece = 16 << 20;  // bytes
  std::uint64_t done = 0, total = 0;
  // Mapped where they will be used so, else read: no page of the file then stays with us. Gate and
  // up may be one tensor.
  std::vector<std::pair<const TensorInfo*, bool>> tensors;
  std::set<const TensorInfo*> seen;
  for (const Stored& weight : model_.weights.all()) {
    for (const TensorInfo* tensor : weight.tensors()) {
      if (!seen.insert(tensor).second) { continue; }
      tensors.emplace_back(tensor, !streamed_ && weight.as_it_is());
      total += tensor->bytes;
    }
  }
  std::vector<std::byte> room;
  for (const auto& [tensor, mapped] : tensors) {
    const auto bytes = mapped ? model_.tensors->data(*tensor) : std::span<const std::byte>();
    std::uint64_t found = 0;
    for (std::uint64_t at = 0; at < tensor->bytes; at += kPiece) {
      const std::uint64_t size = std::min<std::uint64_t>(kPiece, tensor->bytes - at);
      std::span<const std::byte> part;
      if (mapped) {
        part = bytes.subspan(at, size);
      } else {
        room.resize(size);
        model_.tensors->read(*tensor, at, room);
        part = room;
      }
      found += count_nonfinite(part, tensor->dtype);
      done += part.size();
      if (!progress.update(Stage::load, done, total)) {
        throw Error(ExitCode::interrupted, "interrupted while loading weights");
      }
    }
    if (found) { result.nonfinite_in.push_back(tensor->name); }
    result.nonfinite += found;
  }
}

std::vector<float> host_values(const at::Tensor& values) {
  const at::Tensor host = values.cpu().contiguous();
  return {host.const_data_ptr<float>(), host.const_data_ptr<float>() + host.numel()};
}

// [L] of every pass alike, or [passes,L]: by pass where passes begin at the embedding, else their
// mean, as the reference of those days loads them (SPEC-layouts §1.4a).
std::vector<PassFactors> Loader::lambdas(Role role, float absent) const {
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

PassFactors Loader::source_lambdas() const {
  const at::Tensor values = float32(Role::ut_source_lambdas);
  if (!values.defined()) { return {}; }
  const std::int64_t column = model_.architecture.recurrence.destination;
  return {host_values(values.dim() == 2 ? values.select(1, column) : values)};
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

MoeWeights Loader::moe(std::int64_t layer, const MoeSpec& spec) const {
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
  moe.router_bias = float32(Role::router_bias, layer);
  moe.gate_bias = float32(Role::expert_gate_bias, layer);
  moe.up_bias = float32(Role::expert_up_bias, layer);
  moe.down_bias = float32(Role::expert_down_bias, layer);
  moe.shared = {matrix(Role::shared_gate, layer),     matrix(Role::shared_up, layer),
                matrix(Role::shared_down, layer),     float32(Role::shared_gate_bias, layer),
                float32(Role::shared_up_bias, layer), float32(Role::shared_down_bias, layer)};
  moe.shared_weight = float32(Role::shared_weight, layer);
  // A product with one column is rounded by where its memory begins, which differs in a mapped
  // file.
  if (moe.shared_weight.defined()) { moe.shared_weight = moe.shared_weight.clone(); }
  moe.compute = compute_;
  if (on_demand_) {
    moe.read = [self = shared_from_this(), layer](Role role, std::int64_t expert) {
      return self->expert_matrix(role, layer, expert);
    };
    return moe;
  }
  moe.gate_proj = experts(Role::expert_gate, layer);
  moe.c_fc = experts(Role::expert_up, layer);
  moe.c_proj = experts(Role::expert_down, layer);
  return moe;
}

DenseWeights Loader::dense(std::int64_t layer) const {
  DenseWeights dense;
  if (model_.architecture.layers[layer].gated()) {
    dense.gate_proj = matrix(Role::dense_gate, layer);
  }
  dense.c_fc = matrix(Role::dense_up, layer);
  dense.c_proj = matrix(Role::dense_down, layer);
  dense.gate_bias = float32(Role::dense_gate_bias, layer);
  dense.up_bias = float32(Role::dense_up_bias, layer);
  dense.down_bias = float32(Role::dense_down_bias, layer);
  return dense;
}

LayerReader Loader::reader(std::int64_t layer) const {
  return {[this, layer](Role role) { return matrix(role, layer); },
          [this, layer](Role role) { return float32(role, layer); },
          [this, layer](Role role) { return table(role, layer); }};
}

LayerWeights Loader::layer(std::int64_t layer) const {
  LayerWeights weights;
  weights.resid_lambda = resid_[layer];
  weights.x0_lambda = x0_[layer];
  const LayerSpec& spec = model_.architecture.layers[layer];
  read_mixer(reader(layer), spec, weights);
  if (const MoeSpec* moe_spec = spec.moe()) {
    weights.moe = moe(layer, *moe_spec);
  } else {
    weights.dense = dense(layer);
  }
  return weights;
}

Weights Loader::load(Progress& progress) const {
  Weights result;
  result.device = device_;
  result.compute = compute_;
  count_nonfinite_weights(result, progress);
  result.wte = table(Role::embedding);
  result.output_norm = norm_weight(reader(), model_.architecture.output.norm, Role::output_norm);
  result.output_norm_bias = float32(Role::output_norm_bias);
  result.head_bias = float32(Role::head_bias);
  result.source_lambda = source_lambdas();
  if (streamed_) {
    result.layers = streamed_layers(shared_from_this(), layer_lane(device_), keeps_head_);
    return result;
  }
  std::vector<LayerWeights> all;
  for (std::int64_t i = 0; i < layers(); ++i) { all.push_back(layer(i)); }
  result.layers = resident_layers(std::move(all), head());
  return result;
}

}  // namespace

std::vector<float> score_norms(const at::Tensor& w_g, double exponent) {
  const double root_width = std::sqrt(double(w_g.size(1)));
  const at::Tensor m = (w_g.square().sum(1) + 1e-4).sqrt();
  const at::Tensor norm = root_width * m.pow(exponent) * m.pow(1 - exponent).mean();
  const at::Tensor flat = norm.contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

at::Tensor MoeWeights::kept(Role role, std::int64_t expert) const {
  if (read) { return read(role, expert); }
  switch (role) {
    case Role::expert_gate:
      return gate_proj.select(0, expert);
    case Role::expert_up:
      return c_fc.select(0, expert);
    case Role::expert_down:
      return c_proj.select(0, expert);
    default:
      fail(ExitCode::internal, {}, "weight ", int(role), " is not a matrix of an expert");
  }
}

Weights read_weights(const Model& model, const LoadOptions& options, at::Device device,
                     const MemoryPlan& plan, Progress& progress) {
  return std::make_shared<const Loader>(model, options, device, plan)->load(progress);
}

}  // namespace kappascope
