#include "core/forward/device_cuda.h"
#include "core/forward/kappa_kernels.h"
#include "core/forward/operations.h"

namespace kappascope {
namespace {

void add_sums(const at::Tensor& kappa, KappaSums& sums) {
  const at::Tensor both =
      at::stack({kappa.sum(at::kDouble), kappa.to(at::kDouble).square().sum()}).cpu();
  sums.sum += both[0].item<double>();
  sums.square += both[1].item<double>();
  sums.count += kappa.numel();
}

}  // namespace

at::Tensor kappa_swiglu_forward(KappaRows& rows, bool, KappaSums* sums) {
  at::Tensor hidden = at::empty_like(rows.z), kappa, again, act;
  GroupedSwigluArgs args;
  args.last_row = rows.z.size(0);
  args.gates = rows.z.size(1);
  args.gate_pre = {rows.z.const_data_ptr(), element_of(rows.z), 0, 0};
  args.up = {rows.up.const_data_ptr(), element_of(rows.up), 0, 0};
  args.score = data_or_null(rows.score);
  args.score_constant = 0;
  args.kappa = rows.kappa;
  args.element = element_of(hidden);
  args.hidden = hidden.mutable_data_ptr();
  if (sums) {
    kappa = at::empty_like(hidden), again = at::empty_like(hidden), act = at::empty_like(hidden);
    args.kappa_out = written(kappa);
    args.gate_pre_out = written(again);
    args.gate_act_out = written(act);
  }
  require_launched(grouped_swiglu_cuda(args, stream_of(rows.z.device())), "κ-SwiGLU");
  if (sums) { add_sums(kappa, *sums); }
  return hidden;
}

void kappa_swiglu_backward(const KappaRows& rows, const at::Tensor& grad,
                           const KappaGradients& result) {
  const KappaSwigluBackwardArgs args = backward_args(rows, grad, result);
  const at::Tensor memory = at::empty({kappa_swiglu_backward_memory(args)}, rows.z.options());
  require_launched(kappa_swiglu_backward_cuda(args, memory.mutable_data_ptr<float>(),
                                              stream_of(rows.z.device())),
                   "derivatives of κ-SwiGLU");
}

}  // namespace kappascope
