#include "core/forward/kappa_kernels.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "core/forward/operations.h"

namespace kappascope {
namespace {

constexpr std::int64_t kRowsAtOnce = 16;

void add_sums(const at::Tensor& kappa, KappaSums& sums) {
  const at::Tensor values = kappa.to(at::kDouble);
  sums.sum += values.sum().item<double>();
  sums.square += values.square().sum().item<double>();
  sums.count += values.numel();
}

KappaSwigluBackwardArgs rows_of(KappaSwigluBackwardArgs part, std::int64_t begin, std::int64_t end,
                                const at::Tensor& grad_bias, const at::Tensor& grad_scale) {
  const std::int64_t skip = begin * part.gates;
  part.rows = end - begin;
  part.gate_pre += skip;
  part.up += skip;
  part.grad_hidden += skip;
  part.grad_gate_pre += skip;
  part.grad_up += skip;
  if (part.position) { part.position += skip; }
  if (part.score) { part.score += begin; }
  if (part.grad_score) { part.grad_score += begin; }
  part.grad_bias = written(grad_bias);
  part.grad_scale = written(grad_scale);
  return part;
}

// One for each part of the rows; the first is `whole` itself.
std::vector<at::Tensor> parts_of(const at::Tensor& whole, std::size_t count) {
  std::vector<at::Tensor> parts(count, whole);
  for (std::size_t i = 1; i < count && whole.defined(); ++i) { parts[i] = at::zeros_like(whole); }
  return parts;
}

// In the order of the rows: the same numbers whenever as many threads run.
void sum_into_first(std::vector<at::Tensor>& parts) {
  for (std::size_t i = 1; i < parts.size() && parts[0].defined(); ++i) { parts[0].add_(parts[i]); }
}

}  // namespace

at::Tensor kappa_swiglu_forward(KappaRows& rows, bool keep, KappaSums* sums) {
  const std::int64_t count = rows.z.size(0), gates = rows.z.size(1);
  at::Tensor hidden = at::empty_like(rows.z), kappa;
  if (sums) { kappa = at::empty_like(rows.z); }
  if (keep && !rows.kappa.fixed()) { rows.position = at::empty_like(rows.z); }
  const float *z = data_or_null(rows.z), *up = data_or_null(rows.up);
  const float* const score = data_or_null(rows.score);
  float *const to = written(hidden), *const to_kappa = written(kappa),
               *const position = written(rows.position);
  at::parallel_for(0, count, kRowsAtOnce, [&](std::int64_t begin, std::int64_t end) {
    KappaSwigluArgs part;
    part.rows = end - begin;
    part.gates = gates;
    part.gate_pre = z + begin * gates;
    part.up = up + begin * gates;
    part.score = score ? score + begin : nullptr;
    part.kappa = rows.kappa;
    part.hidden = to + begin * gates;
    part.position_out = position ? position + begin * gates : nullptr;
    part.kappa_out = to_kappa ? to_kappa + begin * gates : nullptr;
    cpu_kernels().kappa_swiglu(part);
  });
  if (sums) { add_sums(kappa, *sums); }
  return hidden;
}

void kappa_swiglu_backward(const KappaRows& rows, const at::Tensor& grad,
                           const KappaGradients& result) {
  const KappaSwigluBackwardArgs args = backward_args(rows, grad, result);
  const std::int64_t total = args.rows;
  const std::int64_t count = at::in_parallel_region() ? 1 : std::max(1, at::get_num_threads());
  const std::int64_t chunk = (total + count - 1) / count;
  std::vector<at::Tensor> bias = parts_of(result.bias, std::size_t(count));
  std::vector<at::Tensor> scale = parts_of(result.scale, std::size_t(count));
  const KappaSwigluBackward backward = kappa_swiglu_backward_of(cpu_kernels());
  at::parallel_for(0, count, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t begin = std::min(total, i * chunk), end = std::min(total, begin + chunk);
      backward(rows_of(args, begin, end, bias[i], scale[i]));
    }
  });
  sum_into_first(bias);
  sum_into_first(scale);
}

}  // namespace kappascope
