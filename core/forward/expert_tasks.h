// Which rows the experts of a layer take, and in which parts.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernels.h"

namespace kappascope {

inline constexpr std::int64_t kTaskRows = 64;  // one pass of row_product over the weights

struct Task {
  std::int64_t expert, first, rows;  // rows of Sorted
};

// The kept assignments, by expert, then token, then slot.
struct Sorted {
  std::vector<std::int64_t> cell;      // index into [T,K]
  std::vector<std::int64_t> token;     // cell / K
  std::vector<std::int64_t> position;  // [T,K] where a cell stands here; −1: dropped
  std::vector<float> score;            // s
  std::vector<Task> tasks;

  explicit Sorted(const RoutingView& routing);
};

}  // namespace kappascope
