#include "core/forward/plain_gates.h"

#include "core/forward/layer_record.h"
#include "core/forward/operations.h"

namespace kappascope {

std::vector<GateStats> plain_stats(const at::Tensor& z, const at::Tensor& up,
                                   const KappaView& kappa, double score,
                                   const CallContext& context) {
  const at::Tensor host_z = z.cpu().contiguous();
  at::Tensor hidden = up.cpu().clone();
  const std::vector<float> scores(std::size_t(z.size(0)), float(score));
  std::vector<GateStats> stats(std::size_t(z.size(0)));
  KappaSwigluArgs args;
  args.rows = z.size(0);
  args.gates = z.size(1);
  args.gate_pre = host_z.const_data_ptr<float>();
  args.up = args.hidden = hidden.mutable_data_ptr<float>();
  args.score = scores.data();
  args.kappa = kappa;
  args.active_threshold = float(context.model.architecture.gate_threshold);
  args.top_gates = context.model.architecture.gate_top;
  args.first_recorded = context.call.first_recorded;
  args.stats = stats.data();
  kappa_swiglu_ref(args);
  return stats;
}

at::Tensor plain_shared(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                        std::int64_t pass, const CallContext& context) {
  const DenseWeights& shared = weights.shared;
  const at::Tensor up = project(x, shared.c_fc, shared.up_bias);
  const at::Tensor z = project(x, shared.gate_proj, shared.gate_bias);
  const at::Tensor y = project(z * z.sigmoid() * up, shared.c_proj, shared.down_bias);
  const at::Tensor weight = shared_weight(x, weights);
  if (context.wants.gate_stats && context.probe.wants_layer(layer)) {
    give_shared_to_probe(y, weight, plain_stats(z, up, KappaView{}, 1, context), layer, pass,
                         context);
  }
  return weight.defined() ? y * weight : y;
}

}  // namespace kappascope
