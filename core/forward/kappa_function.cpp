#include "core/forward/kappa_function.h"

#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "core/forward/kappa_kernels.h"
#include "core/forward/operations.h"

namespace kappascope {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Optional = std::optional<at::Tensor>;  // Torch takes no undefined tensor as an argument

class KappaSwiglu final : public torch::autograd::Function<KappaSwiglu> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& z, const at::Tensor& up,
                            const Optional& given_score, const Optional& given_bias,
                            const Optional& given_scale, double log_bound, bool from_gate,
                            bool keep, KappaSums* sums) {
    const at::Tensor score = given_score.value_or(at::Tensor());
    const at::Tensor bias = given_bias.value_or(at::Tensor());
    const at::Tensor scale = given_scale.value_or(at::Tensor());
    context->saved_data["log_bound"] = log_bound;
    context->saved_data["from_gate"] = from_gate;
    KappaRows rows = kappa_rows(z, up, score, bias, scale, log_bound, from_gate);
    const at::Tensor hidden = kappa_swiglu_forward(rows, keep, sums);
    context->save_for_backward({z, up, score, bias, scale, rows.position});
    return hidden;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "kappa_swiglu has no second derivative");
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &z = saved[0], &score = saved[2], &bias = saved[3], &scale = saved[4];
    KappaRows rows =
        kappa_rows(z, saved[1], score, bias, scale, context->saved_data["log_bound"].toDouble(),
                   context->saved_data["from_gate"].toBool());
    rows.position = saved[5];
    KappaGradients result{at::empty_like(z), at::empty_like(z), {}, {}, {}};
    if (score.defined() && !rows.kappa.fixed()) { result.score = at::empty_like(score); }
    if (bias.defined()) { result.bias = at::zeros_like(bias); }
    if (scale.defined()) { result.scale = at::zeros_like(scale); }
    kappa_swiglu_backward(rows, gradients[0].contiguous(), result);
    return {result.z, result.up, result.score, result.bias, result.scale, {}, {}, {}, {}};
  }
};

}  // namespace

KappaRows kappa_rows(const at::Tensor& z, const at::Tensor& up, const at::Tensor& score,
                     const at::Tensor& bias, const at::Tensor& scale, double log_bound,
                     bool from_gate) {
  KappaView view;
  view.bias = data_or_null(bias);
  view.scale = data_or_null(scale);
  view.gate_stride = bias.defined() && bias.numel() > 1 ? 1 : 0;
  view.scale_gate_stride = scale.defined() && scale.numel() > 1 ? 1 : 0;
  view.log_bound = float(log_bound);
  view.from_gate = from_gate;
  return {z, up, score, view, {}};
}

KappaSwigluBackwardArgs backward_args(const KappaRows& rows, const at::Tensor& grad,
                                      const KappaGradients& result) {
  KappaSwigluBackwardArgs args;
  args.rows = rows.z.size(0);
  args.gates = rows.z.size(1);
  args.gate_pre = data_or_null(rows.z);
  args.up = data_or_null(rows.up);
  args.score = data_or_null(rows.score);
  args.kappa = rows.kappa;
  args.position = data_or_null(rows.position);
  args.grad_hidden = data_or_null(grad);
  args.grad_gate_pre = written(result.z);
  args.grad_up = written(result.up);
  args.grad_score = written(result.score);
  args.grad_bias = written(result.bias);
  args.grad_scale = written(result.scale);
  return args;
}

at::Tensor kappa_swiglu(const at::Tensor& z, const at::Tensor& up, const at::Tensor& score,
                        const at::Tensor& bias, const at::Tensor& scale, double log_bound,
                        bool from_gate, KappaSums* sums) {
  const auto whole = [](const at::Tensor& values) {
    return values.defined() ? Optional(values.contiguous()) : Optional();
  };
  return KappaSwiglu::apply(z.contiguous(), up.contiguous(), whole(score), whole(bias),
                            whole(scale), log_bound, from_gate, /*keep=*/z.requires_grad(), sums);
}

}  // namespace kappascope
