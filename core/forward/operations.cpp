#include "core/forward/operations.h"

#include <algorithm>

#include "core/forward/workers.h"

namespace kappascope {
namespace {

constexpr std::int64_t kOutputsAtOnce = 128;

// Of one row. The libraries below multiply it on one thread, while what takes the time is to read
// the weights: the outputs are shared out. Which of them go together does not follow the threads.
at::Tensor row_times(const at::Tensor& x, const at::Tensor& weight) {
  const std::int64_t outputs = weight.size(0);
  const at::Tensor y = at::empty({1, outputs}, x.options());
  const std::int64_t blocks = (outputs + kOutputsAtOnce - 1) / kOutputsAtOnce;
  share_out<Inferring>(
      blocks, /*alone=*/false, [] {},
      [&](std::int64_t block) {
        const std::int64_t first = block * kOutputsAtOnce;
        const std::int64_t count = std::min(kOutputsAtOnce, outputs - first);
        at::Tensor part = y.narrow(1, first, count);
        at::mm_out(part, x, weight.narrow(0, first, count).t());
      });
  return y;
}

}  // namespace

at::Tensor project(const at::Tensor& x, const at::Tensor& weight) {
  const at::Tensor given = x.to(weight.scalar_type());
  const bool one = x.size(0) == 1 && weight.size(0) > kOutputsAtOnce && weight.is_cpu() &&
                   c10::InferenceMode::is_enabled();
  return (one ? row_times(given, weight) : at::mm(given, weight.t())).to(at::kFloat);
}

}  // namespace kappascope
