#include <vector>

#include "core/forward/device_cuda.h"
#include "core/forward/operations.h"

namespace kappascope {
namespace {

// z, up [T,I] → a ∘ up in place of up, as rows of one expert; with `stats`, those of the recorded
// tokens.
GroupedSwigluArgs dense_args(const at::Tensor& z, const at::Tensor& up, const KappaView& kappa,
                             const CallContext& context, std::int64_t layer) {
  GroupedSwigluArgs args;
  args.last_row = z.size(0);
  args.gates = z.size(1);
  args.element = element_of(z);
  args.gate_pre = {z.const_data_ptr(), args.element, 0, 0};
  args.up = {up.const_data_ptr(), args.element, 0, 0};
  args.hidden = up.mutable_data_ptr();
  const Architecture& architecture = context.model.architecture;
  args.score_constant = float(architecture.layers[layer].dense()->kappa_score);
  args.kappa = kappa;
  args.active_threshold = float(architecture.gate_threshold);
  args.top_gates = architecture.gate_top;
  return args;
}

// κ [I], the same for every token: that of one row.
std::vector<float> dense_kappa(const KappaView& kappa, const CallContext& context,
                               std::int64_t layer, const at::Tensor& like) {
  const std::int64_t gates = like.size(1);
  const at::Tensor z = at::zeros({1, gates}, like.options());
  const at::Tensor values = at::empty({3, gates}, like.options().dtype(at::kFloat));
  GroupedSwigluArgs args = dense_args(z, z, kappa, context, layer);
  args.kappa_out = values.mutable_data_ptr<float>();
  args.gate_pre_out = args.kappa_out + gates;
  args.gate_act_out = args.gate_pre_out + gates;
  require_launched(grouped_swiglu_cuda(args, stream_of(like.device())), "κ of a dense layer");
  const at::Tensor host = values.cpu();
  return {host.const_data_ptr<float>(), host.const_data_ptr<float>() + gates};
}

void gated(const at::Tensor& z, const at::Tensor& up, std::int64_t layer, std::int64_t pass,
           const CallContext& context) {
  const std::int64_t told = context.recorded();
  const bool recorded = context.wants.gate_stats && context.probe.wants_layer(layer);
  const KappaView kappa = context.state->kappa_of(context.plan, layer, pass);
  GroupedSwigluArgs args = dense_args(z, up, kappa, context, layer);
  at::Tensor stats;
  if (recorded) {
    const std::int64_t fields = sizeof(GateStats) / sizeof(float);
    stats = at::empty({told, fields}, z.options().dtype(at::kFloat));
    args.first_cell = context.call.first_recorded;
    args.stats = reinterpret_cast<GateStats*>(stats.mutable_data_ptr<float>());
  }
  require_launched(grouped_swiglu_cuda(args, stream_of(z.device())), "κ-SwiGLU");
  if (!recorded) { return; }
  finish_taps(context);  // those of the layers before
  const at::Tensor host = stats.cpu();
  const std::vector<float> values = dense_kappa(kappa, context, layer, z);
  const DenseTap tap{layer,
                     pass,
                     context.first_token(),
                     told,
                     z.size(1),
                     values.data(),
                     reinterpret_cast<const GateStats*>(host.const_data_ptr<float>())};
  CallContext::require_going(context.probe.dense(tap));
}

}  // namespace

at::Tensor dense_layer(const at::Tensor& x, const DenseWeights& weights, std::int64_t layer,
                       std::int64_t pass, const CallContext& context) {
  const at::Tensor in = x.to(weights.c_fc.scalar_type());
  at::Tensor hidden = at::mm(in, weights.c_fc.t());
  if (weights.gate_proj.defined()) {
    gated(at::mm(in, weights.gate_proj.t()), hidden, layer, pass, context);
    return project(hidden, weights.c_proj);
  }
  return project(hidden.to(at::kFloat).relu_().square_(), weights.c_proj);
}

}  // namespace kappascope
