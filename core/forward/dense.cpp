#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "core/forward/device.h"
#include "core/forward/experts.h"
#include "core/forward/layer_record.h"
#include "core/forward/operations.h"
#include "kernels/kappa_math.h"

namespace kappascope {
namespace {

// z, up [T,I] → a ∘ up in place of up, κ from `constant`. Statistics of the recorded rows; empty
// where they are not wanted.
std::vector<GateStats> activate(const at::Tensor& z, at::Tensor& up, const KappaView& kappa,
                                float constant, std::int64_t layer, const CallContext& context) {
  const Architecture& architecture = context.model.architecture;
  const std::int64_t tokens = z.size(0), gates = z.size(1), first = context.call.first_recorded;
  const bool recorded = context.wants.gate_stats && context.probe.wants_layer(layer);
  const std::vector<float> score(std::size_t(tokens), constant);
  std::vector<GateStats> stats(recorded ? std::size_t(tokens) : 0);
  KappaSwigluArgs args;
  args.gates = gates;
  args.score = score.data();
  args.kappa = kappa;
  args.active_threshold = float(architecture.gate_threshold);
  args.top_gates = architecture.gate_top;
  float* hidden = up.mutable_data_ptr<float>();
  at::parallel_for(0, tokens, 16, [&](std::int64_t begin, std::int64_t end) {
    KappaSwigluArgs part = args;
    part.rows = end - begin;
    part.gate_pre = z.const_data_ptr<float>() + begin * gates;
    part.up = part.hidden = hidden + begin * gates;
    part.first_recorded = std::clamp<std::int64_t>(first - begin, 0, part.rows);
    part.stats = recorded ? stats.data() + begin : nullptr;
    cpu_kernels().kappa_swiglu(part);
  });
  return stats;
}

// The same in a dense layer; the taps see the recorded rows.
void gated(const at::Tensor& z, at::Tensor& up, std::int64_t layer, std::int64_t pass,
           const CallContext& context) {
  const std::int64_t gates = z.size(1), first = context.call.first_recorded;
  const float constant = float(context.model.architecture.layers[layer].dense()->kappa_score);
  const KappaView view = context.plan.kappa_of(layer, pass).view();
  const std::vector<GateStats> stats = activate(z, up, view, constant, layer, context);
  if (stats.empty()) { return; }
  const std::vector<float> kappa = dense_kappa(view, gates, constant);
  const DenseTap tap{layer, pass,         context.first_token(), context.recorded(),
                     gates, kappa.data(), stats.data() + first};
  CallContext::require_going(context.probe.dense(tap));
}

}  // namespace

at::Tensor dense_layer(const at::Tensor& x, const DenseWeights& weights, std::int64_t layer,
                       std::int64_t pass, const CallContext& context) {
  at::Tensor hidden = project(x, weights.c_fc, weights.up_bias);
  if (weights.gate_proj.defined()) {
    gated(project(x, weights.gate_proj, weights.gate_bias), hidden, layer, pass, context);
  } else {
    hidden = hidden.relu_().square_();
  }
  return project(hidden, weights.c_proj, weights.down_bias);
}

at::Tensor shared_expert(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                         std::int64_t pass, const CallContext& context) {
  const DenseWeights& shared = weights.shared;
  at::Tensor hidden = project(x, shared.c_fc, shared.up_bias);
  const at::Tensor z = project(x, shared.gate_proj, shared.gate_bias);
  const std::vector<GateStats> stats = activate(z, hidden, KappaView{}, 1, layer, context);
  const at::Tensor y = project(hidden, shared.c_proj, shared.down_bias);
  const at::Tensor weight = shared_weight(x, weights);
  if (!stats.empty()) { give_shared_to_probe(y, weight, stats, layer, pass, context); }
  return weight.defined() ? y * weight : y;
}

}  // namespace kappascope
