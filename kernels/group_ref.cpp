// Rows of the experts, reference: grouping, dispatch and combine.
//
//   row of a kept cell = rows of the experts before its own + its place in the queue
//   rows[r] = x[token of r],  output[t] = Σ_k weight[t,k]·y[row of t,k]
#include <algorithm>

#include "kernels/device_ops.h"

namespace kappascope {
namespace {

// Tiles of an expert's rows [first, last), from number `tile` on; returns the next number.
std::int64_t tile_up(const GroupArgs& args, std::int64_t e, std::int32_t first, std::int32_t last,
                     std::int64_t tile) {
  for (std::int32_t row = first; row < last; row += kTileRows, ++tile) {
    args.tile_expert[tile] = std::int32_t(e);
    args.tile_row[tile] = row;
    args.tile_rows[tile] = std::min<std::int32_t>(kTileRows, last - row);
  }
  return tile;
}

template <typename T>
void copy_row(const float* from, std::int64_t width, T* to) {
  for (std::int64_t h = 0; h < width; ++h) { narrow(from[h], to[h]); }
}

}  // namespace

void group_ref(const GroupArgs& args) {
  const std::int64_t cells = args.tokens * args.slots;
  std::int64_t tile = 0;
  args.row_start[0] = 0;
  for (std::int64_t e = 0; e < args.experts; ++e) {
    const std::int64_t assigned = args.assigned[e];
    const std::int64_t rows = args.capacity < 0 ? assigned : std::min(assigned, args.capacity);
    args.row_start[e + 1] = args.row_start[e] + std::int32_t(rows);
    if (args.tile_expert) {
      tile = tile_up(args, e, args.row_start[e], args.row_start[e + 1], tile);
    }
  }
  if (args.tile_expert) { std::fill(args.tile_expert + tile, args.tile_expert + cells, -1); }
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    args.cell_row[cell] = args.expert_kept[cell]
                              ? args.row_start[args.expert_index[cell]] + args.queue_position[cell]
                              : -1;
  }
}

void dispatch_ref(const DispatchArgs& args) {
  for (std::int64_t cell = 0; cell < args.tokens * args.slots; ++cell) {
    const std::int64_t row = args.cell_row[cell];
    if (row < args.first_row || row >= args.last_row) { continue; }
    const float* from = args.x + cell / args.slots * args.width;
    const std::int64_t at = (row - args.first_row) * args.width;
    if (args.element == Element::float32) {
      copy_row(from, args.width, static_cast<float*>(args.rows) + at);
    } else {
      copy_row(from, args.width, static_cast<BFloat16*>(args.rows) + at);
    }
  }
}

void combine_ref(const CombineArgs& args) {
  for (std::int64_t t = 0; t < args.tokens; ++t) {
    for (std::int64_t h = 0; h < args.width; ++h) {
      float sum = 0;
      for (std::int64_t cell = t * args.slots; cell < (t + 1) * args.slots; ++cell) {
        const std::int64_t row = args.cell_row[cell];
        if (row >= 0) { sum += args.weight[cell] * product_value(args.y, row * args.width + h); }
      }
      args.output[t * args.width + h] = sum;
    }
  }
}

}  // namespace kappascope
