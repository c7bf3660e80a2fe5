#include "core/forward/ablate_cuda.h"

namespace kappascope {

ActingRows::ActingRows(const at::Tensor& cell_row, const at::Tensor& expert, const LayerPlan& plan)
    : acting_(cell_row) {
  if (!plan.has(ExpertMode::zero)) { return; }
  std::vector<std::uint8_t> zero;
  for (const ExpertMode mode : plan.modes) { zero.push_back(mode == ExpertMode::zero); }
  const at::Tensor of_expert = at::tensor(zero, at::kByte).to(at::kBool).to(cell_row.device());
  left_out_ = of_expert.index_select(0, expert).logical_and(cell_row >= 0);
  acting_ = cell_row.masked_fill(left_out_, -1);
}

void ActingRows::put_norms(at::Tensor norm) const {
  if (left_out_.defined()) { norm.masked_fill_(left_out_, 0); }
}

void put_means(at::Tensor& y, const at::Tensor& row_start, const LayerPlan& plan) {
  if (!plan.has(ExpertMode::mean)) { return; }
  const at::Tensor host = row_start.cpu();
  const std::int32_t* start = host.const_data_ptr<std::int32_t>();
  for (std::int64_t e = 0; e < std::ssize(plan.modes); ++e) {
    if (plan.modes[e] != ExpertMode::mean || start[e] == start[e + 1]) { continue; }
    at::Tensor rows = y.narrow(0, start[e], start[e + 1] - start[e]);
    rows.copy_(rows.to(at::kFloat).mean(0, /*keepdim=*/true).expand_as(rows));
  }
}

}  // namespace kappascope
