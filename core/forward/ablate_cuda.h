// Experts without their own output, on a GPU (run_plan.h: ExpertMode).
#pragma once

#include <ATen/ATen.h>

#include "core/engine/run_plan.h"

namespace kappascope {

// The rows whose outputs a token is given: those of experts whose output is 0 are left out.
class ActingRows {
 public:
  // cell_row, expert: [T·K] int32, on the device.
  ActingRows(const at::Tensor& cell_row, const at::Tensor& expert, const LayerPlan& plan);
  const std::int32_t* cell_row() const { return acting_.const_data_ptr<std::int32_t>(); }
  // Norms [T·K] of the outputs: 0 where one was left out, as the output is.
  void put_norms(at::Tensor norm) const;

 private:
  at::Tensor acting_, left_out_;  // [T·K]; undefined: none is
};

// y [rows,H], the rows of expert e from row_start[e] on: those of experts whose output is its mean
// become that.
void put_means(at::Tensor& y, const at::Tensor& row_start, const LayerPlan& plan);

}  // namespace kappascope
