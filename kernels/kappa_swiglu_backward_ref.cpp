#include <vector>

#include "kernels/kappa_gradient.h"
#include "kernels/training_ops.h"

namespace kappascope {
namespace {

// One row, in double; what belongs to gate units is added to `bias` and `scale`, [I] each.
double row_backward(const KappaSwigluBackwardArgs& args, std::int64_t r, std::vector<double>& bias,
                    std::vector<double>& scale) {
  const KappaView& view = args.kappa;
  KappaGate<double> gate;
  gate.form = argument_of(view);
  gate.score = args.score ? args.score[r] : 0;
  gate.log_bound = view.log_bound;
  gate.factor = view.factor_value();
  double score = 0;
  for (std::int64_t i = 0; i < args.gates; ++i) {
    const std::int64_t at = r * args.gates + i;
    const double grad = args.grad_hidden[at];
    gate.z = args.gate_pre[at];
    gate.up = args.up[at];
    if (view.bias) { gate.bias = view.bias[i * view.gate_stride]; }
    if (view.scale) { gate.scale = view.scale[i * view.scale_gate_stride]; }
    KappaGateGradient<double> result;
    if (args.identity_gate) {
      result.z = grad * gate.up;
      result.up = grad * gate.z;
    } else {
      result = kappa_gradient(gate, grad);
    }
    args.grad_gate_pre[at] = float(result.z);
    args.grad_up[at] = float(result.up);
    bias[i] += result.bias;
    scale[i] += result.scale;
    score += result.score;
  }
  return score;
}

void add_gates(const std::vector<double>& sums, std::int64_t stride, float* to) {
  if (!to) { return; }
  double total = 0;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (stride == 0) {
      total += sums[i];
    } else {
      to[std::int64_t(i) * stride] += float(sums[i]);
    }
  }
  if (stride == 0) { *to += float(total); }
}

}  // namespace

void kappa_swiglu_backward_ref(const KappaSwigluBackwardArgs& args) {
  std::vector<double> bias(std::size_t(args.gates), 0.0), scale = bias;
  for (std::int64_t r = 0; r < args.rows; ++r) {
    const double score = row_backward(args, r, bias, scale);
    if (args.grad_score) { args.grad_score[r] = float(score); }
  }
  add_gates(bias, args.kappa.gate_stride, args.grad_bias);
  add_gates(scale, args.kappa.scale_gate_stride, args.grad_scale);
}

}  // namespace kappascope
