// Which rows the experts of a layer take, and in which parts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"

namespace kappascope {

inline constexpr std::int64_t kTaskRows = 64;  // one pass of row_product over the weights
inline constexpr std::int64_t kColumns = 256;  // least to share out by columns

struct Task {
  std::int64_t expert, first, rows;  // rows of Sorted
};

// Equal parts of a matrix's columns, a multiple of kColumns but the last.
struct Columns {
  std::int64_t all, parts, each;
  Columns(std::int64_t columns, std::int64_t wanted)
      : all(columns),
        parts(std::clamp<std::int64_t>(wanted, 1, (columns + kColumns - 1) / kColumns)),
        each((columns + parts * kColumns - 1) / (parts * kColumns) * kColumns) {}
  std::int64_t first(std::int64_t part) const { return std::min(all, part * each); }
  std::int64_t count(std::int64_t part) const { return first(part + 1) - first(part); }
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
