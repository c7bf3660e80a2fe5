#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "core/forward/feed_forward.h"
#include "core/forward/operations.h"
#include "kernels/kappa_math.h"

namespace kappascope {
namespace {

// κ = factor · exp(ln U · tanh(b · constant)), the same for every token.
std::vector<float> dense_kappa(const KappaView& view, std::int64_t gates, float constant) {
  std::vector<float> kappa(std::size_t(gates), 1.0f);
  for (std::int64_t i = 0; i < gates; ++i) {
    if (!view.fixed()) { kappa[i] = kappa_value(view.log_bound, view.argument(i, constant, 0)); }
    kappa[i] *= view.factor_value();
  }
  return kappa;
}

// z, up [T,I] → a ∘ up in place of up; the taps see the recorded rows.
void gated(const at::Tensor& z, at::Tensor& up, std::int64_t layer, std::int64_t pass,
           const CallContext& context) {
  const Architecture& architecture = context.model.architecture;
  const DenseSpec& spec = *architecture.layers[layer].dense();
  const std::int64_t tokens = z.size(0), gates = z.size(1), first = context.call.first_recorded;
  const float constant = float(spec.kappa_score);
  const bool recorded = context.wants.gate_stats && context.probe.wants_layer(layer);
  const std::vector<float> score(std::size_t(tokens), constant);
  std::vector<GateStats> stats(recorded ? std::size_t(tokens) : 0);
  KappaSwigluArgs args;
  args.gates = gates;
  args.score = score.data();
  args.kappa = context.plan.kappa_of(layer, pass).view();
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
  if (!recorded) { return; }
  const std::vector<float> kappa = dense_kappa(args.kappa, gates, constant);
  const DenseTap tap{layer, pass,         context.first_token(), context.recorded(),
                     gates, kappa.data(), stats.data() + first};
  CallContext::require_going(context.probe.dense(tap));
}

}  // namespace

at::Tensor dense_layer(const at::Tensor& x, const DenseWeights& weights, std::int64_t layer,
                       std::int64_t pass, const CallContext& context) {
  at::Tensor hidden = project(x, weights.c_fc);
  if (weights.gate_proj.defined()) {
    gated(project(x, weights.gate_proj), hidden, layer, pass, context);
  } else {
    hidden = hidden.relu_().square_();
  }
  return project(hidden, weights.c_proj);
}

}  // namespace kappascope
