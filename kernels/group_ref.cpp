// Where the rows of the experts are, reference.
//
//   row of a kept cell = rows of the experts before its own + its place in the queue
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
  std::fill(args.row_cell, args.row_cell + cells, -1);
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    const bool kept = args.expert_kept[cell];
    const std::int32_t row =
        kept ? args.row_start[args.expert_index[cell]] + args.queue_position[cell] : -1;
    args.cell_row[cell] = row;
    if (kept) { args.row_cell[row] = std::int32_t(cell); }
  }
}

}  // namespace kappascope
