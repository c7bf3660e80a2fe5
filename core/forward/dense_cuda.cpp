#include <vector>

#include "core/forward/device_cuda.h"
#include "core/forward/layer_record.h"
#include "core/forward/operations.h"

namespace kappascope {
namespace {

// z, up [T,I] → a ∘ up in place of up, as rows of one expert with the score `score`.
GroupedSwigluArgs dense_args(const at::Tensor& z, const at::Tensor& up, const KappaView& kappa,
                             double score, const CallContext& context) {
  GroupedSwigluArgs args;
  args.last_row = z.size(0);
  args.gates = z.size(1);
  args.element = element_of(z);
  args.gate_pre = {z.const_data_ptr(), args.element, 0, 0};
  args.up = {up.const_data_ptr(), args.element, 0, 0};
  args.hidden = up.mutable_data_ptr();
  args.score_constant = float(score);
  args.kappa = kappa;
  args.active_threshold = float(context.model.architecture.gate_threshold);
  args.top_gates = context.model.architecture.gate_top;
  return args;
}

// Starts κ-SwiGLU; `stats`, of the recorded tokens, may be nullptr.
void activate(const at::Tensor& z, const at::Tensor& up, const KappaView& kappa, double score,
              const CallContext& context, GateStats* stats) {
  GroupedSwigluArgs args = dense_args(z, up, kappa, score, context);
  args.first_cell = context.call.first_recorded;
  args.stats = stats;
  require_launched(grouped_swiglu_cuda(args, stream_of(z.device())), "κ-SwiGLU");
}

void gated(const at::Tensor& z, const at::Tensor& up, std::int64_t layer, std::int64_t pass,
           const CallContext& context) {
  const std::int64_t recorded = context.recorded();
  const KappaView kappa = context.state->kappa_of(context.plan, layer, pass);
  const double score = context.model.architecture.layers[layer].dense()->kappa_score;
  if (!context.wants.gate_stats || !context.probe.wants_layer(layer)) {
    return activate(z, up, kappa, score, context, nullptr);
  }
  const at::Tensor stats =
      at::empty({recorded * std::int64_t(sizeof(GateStats))}, z.options().dtype(at::kByte));
  activate(z, up, kappa, score, context, part<GateStats>(stats, 0));
  const KappaView on_host = context.plan.kappa_of(layer, pass).view();
  const DenseTap tap{layer, pass, context.first_token(), recorded, z.size(1), nullptr, nullptr};
  context.state->taps.send(stats, tap, dense_kappa(on_host, z.size(1), float(score)), context);
}

// x [T,in] · weight [out,in]ᵀ, and the bias, in the weight's type.
at::Tensor product_of(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor y = at::mm(x, weight.t());
  return bias.defined() ? y + bias.to(y.scalar_type()) : y;
}

// Values [T] into memory of the device at `to`.
void keep(const at::Tensor& values, float* to) {
  at::from_blob(to, {values.numel()}, values.options()).copy_(values);
}

}  // namespace

at::Tensor dense_layer(const at::Tensor& x, const DenseWeights& weights, std::int64_t layer,
                       std::int64_t pass, const CallContext& context) {
  const at::Tensor in = x.to(weights.c_fc.scalar_type());
  at::Tensor hidden = product_of(in, weights.c_fc, weights.up_bias);
  if (weights.gate_proj.defined()) {
    gated(product_of(in, weights.gate_proj, weights.gate_bias), hidden, layer, pass, context);
    return project(hidden, weights.c_proj, weights.down_bias);
  }
  return project(hidden.to(at::kFloat).relu_().square_(), weights.c_proj);
}

at::Tensor shared_output(const at::Tensor& x, const MoeWeights& weights, const CallContext& context,
                         const SharedRecord& record) {
  const DenseWeights& shared = weights.shared;
  const at::Tensor in = x.to(shared.c_fc.scalar_type());
  const at::Tensor z = product_of(in, shared.gate_proj, shared.gate_bias);
  const at::Tensor hidden = product_of(in, shared.c_fc, shared.up_bias);
  activate(z, hidden, KappaView{}, 1, context, record.stats);
  const at::Tensor y = project(hidden, shared.c_proj, shared.down_bias);
  const at::Tensor weight = shared_weight(x, weights);
  if (record.norm) {
    keep(y.square().sum(1).sqrt(), record.norm);
    keep(weight.defined() ? weight.squeeze(1) : at::ones({x.size(0)}, x.options()), record.weight);
  }
  return weight.defined() ? y * weight : y;
}

}  // namespace kappascope
