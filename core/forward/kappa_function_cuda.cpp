#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "core/forward/device_cuda.h"
#include "core/forward/kappa_function.h"
#include "kernels/training_ops.h"

namespace kappascope {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Optional = std::optional<at::Tensor>;  // Torch takes no undefined tensor as an argument

// κ of one expert, of parameters [I] or [1].
KappaView view_of(const at::Tensor& bias, const at::Tensor& scale, double log_bound,
                  bool from_gate) {
  KappaView view;
  view.bias = data_or_null(bias);
  view.scale = data_or_null(scale);
  view.gate_stride = bias.defined() && bias.numel() > 1 ? 1 : 0;
  view.scale_gate_stride = scale.defined() && scale.numel() > 1 ? 1 : 0;
  view.log_bound = float(log_bound);
  view.from_gate = from_gate;
  return view;
}

void add_sums(const at::Tensor& kappa, KappaSums& sums) {
  const at::Tensor both =
      at::stack({kappa.sum(at::kDouble), kappa.to(at::kDouble).square().sum()}).cpu();
  sums.sum += both[0].item<double>();
  sums.square += both[1].item<double>();
  sums.count += kappa.numel();
}

at::Tensor run_forward(const at::Tensor& z, const at::Tensor& up, const at::Tensor& score,
                       const KappaView& view, KappaSums* sums) {
  at::Tensor hidden = at::empty_like(z), kappa, again, act;
  GroupedSwigluArgs args;
  args.last_row = z.size(0);
  args.gates = z.size(1);
  args.gate_pre = {z.const_data_ptr(), element_of(z), 0, 0};
  args.up = {up.const_data_ptr(), element_of(up), 0, 0};
  args.score = data_or_null(score);
  args.score_constant = 0;
  args.kappa = view;
  args.element = element_of(hidden);
  args.hidden = hidden.mutable_data_ptr();
  if (sums) {
    kappa = at::empty_like(z), again = at::empty_like(z), act = at::empty_like(z);
    args.kappa_out = kappa.mutable_data_ptr<float>();
    args.gate_pre_out = again.mutable_data_ptr<float>();
    args.gate_act_out = act.mutable_data_ptr<float>();
  }
  require_launched(grouped_swiglu_cuda(args, stream_of(z.device())), "κ-SwiGLU");
  if (sums) { add_sums(kappa, *sums); }
  return hidden;
}

class KappaSwiglu final : public torch::autograd::Function<KappaSwiglu> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& z, const at::Tensor& up,
                            const Optional& given_score, const Optional& given_bias,
                            const Optional& given_scale, double log_bound, bool from_gate,
                            KappaSums* sums) {
    const at::Tensor score = given_score.value_or(at::Tensor());
    const at::Tensor bias = given_bias.value_or(at::Tensor());
    const at::Tensor scale = given_scale.value_or(at::Tensor());
    context->save_for_backward({z, up, score, bias, scale});
    context->saved_data["log_bound"] = log_bound;
    context->saved_data["from_gate"] = from_gate;
    return run_forward(z, up, score, view_of(bias, scale, log_bound, from_gate), sums);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "kappa_swiglu has no second derivative");
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &z = saved[0], &up = saved[1], &score = saved[2], &bias = saved[3],
                     &scale = saved[4];
    const at::Tensor grad = gradients[0].contiguous();
    at::Tensor grad_z = at::empty_like(z), grad_up = at::empty_like(z);
    at::Tensor grad_score, grad_bias, grad_scale;
    KappaSwigluBackwardArgs args;
    args.rows = z.size(0);
    args.gates = z.size(1);
    args.gate_pre = z.const_data_ptr<float>();
    args.up = up.const_data_ptr<float>();
    args.score = data_or_null(score);
    args.kappa = view_of(bias, scale, context->saved_data["log_bound"].toDouble(),
                         context->saved_data["from_gate"].toBool());
    args.grad_hidden = grad.const_data_ptr<float>();
    args.grad_gate_pre = grad_z.mutable_data_ptr<float>();
    args.grad_up = grad_up.mutable_data_ptr<float>();
    if (bias.defined()) {
      grad_bias = at::zeros_like(bias);
      args.grad_bias = grad_bias.mutable_data_ptr<float>();
    }
    if (scale.defined()) {
      grad_scale = at::zeros_like(scale);
      args.grad_scale = grad_scale.mutable_data_ptr<float>();
    }
    if (score.defined() && !args.kappa.fixed()) {
      grad_score = at::empty_like(score);
      args.grad_score = grad_score.mutable_data_ptr<float>();
    }
    const at::Tensor memory = at::empty({kappa_swiglu_backward_memory(args)}, z.options());
    require_launched(
        kappa_swiglu_backward_cuda(args, memory.mutable_data_ptr<float>(), stream_of(z.device())),
        "derivatives of κ-SwiGLU");
    return {grad_z, grad_up, grad_score, grad_bias, grad_scale, {}, {}, {}};
  }
};

}  // namespace

at::Tensor kappa_swiglu(const at::Tensor& z, const at::Tensor& up, const at::Tensor& score,
                        const at::Tensor& bias, const at::Tensor& scale, double log_bound,
                        bool from_gate, KappaSums* sums) {
  const auto whole = [](const at::Tensor& values) {
    return values.defined() ? Optional(values.contiguous()) : Optional();
  };
  return KappaSwiglu::apply(z.contiguous(), up.contiguous(), whole(score), whole(bias),
                            whole(scale), log_bound, from_gate, sums);
}

}  // namespace kappascope
