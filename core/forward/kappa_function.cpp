#include "core/forward/kappa_function.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "kernels/training_ops.h"

namespace kappascope {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Optional = std::optional<at::Tensor>;  // Torch takes no undefined tensor as an argument

constexpr std::int64_t kRowsAtOnce = 16;

const float* read_from(const at::Tensor& values) {
  return values.defined() ? values.const_data_ptr<float>() : nullptr;
}

// κ of one expert, of parameters [I] or [1].
KappaView view_of(const at::Tensor& bias, const at::Tensor& scale, double log_bound,
                  bool from_gate) {
  KappaView view;
  view.bias = read_from(bias);
  view.scale = read_from(scale);
  view.gate_stride = bias.defined() && bias.numel() > 1 ? 1 : 0;
  view.scale_gate_stride = scale.defined() && scale.numel() > 1 ? 1 : 0;
  view.log_bound = float(log_bound);
  view.from_gate = from_gate;
  return view;
}

void add_sums(const at::Tensor& kappa, KappaSums& sums) {
  const at::Tensor values = kappa.to(at::kDouble);
  sums.sum += values.sum().item<double>();
  sums.square += values.square().sum().item<double>();
  sums.count += values.numel();
}

at::Tensor run_forward(const at::Tensor& z, const at::Tensor& up, const at::Tensor& score,
                       const KappaView& view, KappaSums* sums) {
  const std::int64_t rows = z.size(0), gates = z.size(1);
  at::Tensor hidden = at::empty_like(z), kappa;
  if (sums) { kappa = at::empty_like(z); }
  const float *from_z = read_from(z), *from_up = read_from(up), *from_score = read_from(score);
  float* const to = hidden.mutable_data_ptr<float>();
  float* const to_kappa = sums ? kappa.mutable_data_ptr<float>() : nullptr;
  at::parallel_for(0, rows, kRowsAtOnce, [&](std::int64_t begin, std::int64_t end) {
    KappaSwigluArgs part;
    part.rows = end - begin;
    part.gates = gates;
    part.gate_pre = from_z + begin * gates;
    part.up = from_up + begin * gates;
    part.score = from_score ? from_score + begin : nullptr;
    part.kappa = view;
    part.hidden = to + begin * gates;
    part.kappa_out = to_kappa ? to_kappa + begin * gates : nullptr;
    cpu_kernels().kappa_swiglu(part);
  });
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
    const at::Tensor &z = saved[0], &score = saved[2], &bias = saved[3], &scale = saved[4];
    const at::Tensor grad = gradients[0].contiguous();
    const bool from_gate = context->saved_data["from_gate"].toBool();
    const bool fixed = !bias.defined() && !scale.defined();
    KappaSwigluBackwardArgs args;
    args.gates = z.size(1);
    args.gate_pre = read_from(z);
    args.up = read_from(saved[1]);
    args.score = read_from(score);
    args.kappa = view_of(bias, scale, context->saved_data["log_bound"].toDouble(), from_gate);
    args.grad_hidden = read_from(grad);
    at::Tensor grad_z = at::empty_like(z), grad_up = at::empty_like(z), grad_score;
    args.grad_gate_pre = grad_z.mutable_data_ptr<float>();
    args.grad_up = grad_up.mutable_data_ptr<float>();
    if (score.defined() && !fixed) {
      grad_score = at::empty_like(score);
      args.grad_score = grad_score.mutable_data_ptr<float>();
    }
    const auto [grad_bias, grad_scale] = run_backward(args, z.size(0), bias, scale);
    return {grad_z, grad_up, grad_score, grad_bias, grad_scale, {}, {}, {}};
  }

 private:
  static std::pair<at::Tensor, at::Tensor> run_backward(const KappaSwigluBackwardArgs& args,
                                                        std::int64_t rows, const at::Tensor& bias,
                                                        const at::Tensor& scale) {
    const auto parts =
        std::size_t(at::in_parallel_region() ? 1 : std::max(1, at::get_num_threads()));
    std::vector<at::Tensor> grad_bias(parts), grad_scale(parts);
    const KappaSwigluBackward backward = kappa_swiglu_backward_of(cpu_kernels());
    for (std::size_t i = 0; i < parts; ++i) {
      if (bias.defined()) { grad_bias[i] = at::zeros_like(bias); }
      if (scale.defined()) { grad_scale[i] = at::zeros_like(scale); }
    }
    const std::int64_t count = std::int64_t(parts), chunk = (rows + count - 1) / count;
    at::parallel_for(0, count, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first; i < last; ++i) {
        const std::int64_t begin = std::min(rows, i * chunk), end = std::min(rows, begin + chunk);
        backward(rows_of(args, begin, end, grad_bias[i], grad_scale[i]));
      }
    });
    return {sum(grad_bias), sum(grad_scale)};
  }

  static KappaSwigluBackwardArgs rows_of(KappaSwigluBackwardArgs part, std::int64_t begin,
                                         std::int64_t end, const at::Tensor& grad_bias,
                                         const at::Tensor& grad_scale) {
    const std::int64_t skip = begin * part.gates;
    part.rows = end - begin;
    part.gate_pre += skip;
    part.up += skip;
    part.grad_hidden += skip;
    part.grad_gate_pre += skip;
    part.grad_up += skip;
    if (part.score) { part.score += begin; }
    if (part.grad_score) { part.grad_score += begin; }
    if (grad_bias.defined()) { part.grad_bias = grad_bias.mutable_data_ptr<float>(); }
    if (grad_scale.defined()) { part.grad_scale = grad_scale.mutable_data_ptr<float>(); }
    return part;
  }

  // In the order of the rows: the same numbers whenever as many threads run.
  static at::Tensor sum(const std::vector<at::Tensor>& parts) {
    at::Tensor total = parts.front();
    for (std::size_t i = 1; i < parts.size() && total.defined(); ++i) { total = total + parts[i]; }
    return total;
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
