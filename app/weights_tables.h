// The numbers of weights as tables: of files, and of the window.
#pragma once

#include <vector>

#include "core/figure/figure.h"
#include "core/model/alignment.h"
#include "core/stats/learned_kappa.h"
#include "core/stats/tensor_numbers.h"

namespace kappascope {

// A number of a tensor, by the name that tables and --fail-if have for it.
struct TensorColumn {
  const char* name;
  double (*of)(const TensorNumbers& numbers);
};
// Those there are: outliers by size need a limit.
std::vector<TensorColumn> tensor_columns(const OutlierLimits& limits);

struct LayerAlignment {
  std::int64_t layer = -1;
  UnitAlignment of;
};

// One row a tensor.
Table tensors_table(const TensorFile& file, const std::vector<TensorNumbers>& numbers,
                    const OutlierLimits& limits);
Table changes_table(const WeightChange& change);

// One row for α and one for b of each layer and slot.
Table kappa_table(const std::vector<LearnedKappa>& layers);

// One row an expert.
Table alignment_table(const std::vector<LayerAlignment>& layers);

}  // namespace kappascope
