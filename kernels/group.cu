// Where the rows of the experts are, on the GPU.
//
//   row_start[e] = Σ kept rows of the experts before e;  row of a kept cell = row_start[its expert]
//   + its place in the queue
#include "kernels/cuda_launch.h"

namespace kappascope {
namespace {

__device__ std::int32_t rows_of(const GroupArgs& args, std::int64_t e) {
  const std::int32_t assigned = args.assigned[e];
  return args.capacity < 0 || assigned < args.capacity ? assigned : std::int32_t(args.capacity);
}

__device__ std::int32_t tiles_of(std::int32_t rows) {
  return (rows + kTileRows - 1) / kTileRows;
}

// Σ of the values of the threads before this one; `shared` [kThreads].
__device__ std::int32_t sum_before(std::int32_t value, std::int32_t* shared) {
  const int thread = int(threadIdx.x);
  shared[thread] = value;
  __syncthreads();
  for (int reach = 1; reach < kThreads; reach *= 2) {
    const std::int32_t left = thread >= reach ? shared[thread - reach] : 0;
    __syncthreads();
    shared[thread] += left;
    __syncthreads();
  }
  return shared[thread] - value;
}

struct GroupMemory {
  std::int32_t sums[kThreads];
  std::int32_t all_tiles;
};

// The tiles of the experts [first, last), which have that many rows; by all threads of one block.
__device__ void list_tiles(const GroupArgs& args, std::int64_t first, std::int64_t last,
                           GroupMemory& memory) {
  std::int32_t tiles = 0;
  for (std::int64_t e = first; e < last; ++e) { tiles += tiles_of(rows_of(args, e)); }
  std::int32_t tile = sum_before(tiles, memory.sums);
  for (std::int64_t e = first; e < last; ++e) {
    const std::int32_t end = args.row_start[e + 1];
    for (std::int32_t row = args.row_start[e]; row < end; row += kTileRows, ++tile) {
      args.tile_expert[tile] = std::int32_t(e);
      args.tile_row[tile] = row;
      args.tile_rows[tile] = end - row < kTileRows ? end - row : kTileRows;
    }
  }
  if (int(threadIdx.x) == kThreads - 1) { memory.all_tiles = tile; }
  __syncthreads();
  for (std::int64_t at = memory.all_tiles + threadIdx.x; at < args.tokens * args.slots;
       at += kThreads) {
    args.tile_expert[at] = -1;
  }
}

// One thread per cell. Every block finds where the experts' rows start, each thread for a range of
// experts: they write the same values to the same places, and none waits for another block.
__global__ void group_kernel(GroupArgs args) {
  KAPPASCOPE_SHARED(GroupMemory, memory);
  const std::int64_t share = (args.experts + kThreads - 1) / kThreads;
  const std::int64_t first = threadIdx.x * share;
  const std::int64_t last = first + share < args.experts ? first + share : args.experts;
  std::int32_t rows = 0;
  for (std::int64_t e = first; e < last; ++e) { rows += rows_of(args, e); }
  std::int32_t start = sum_before(rows, memory.sums);
  if (threadIdx.x == 0) { args.row_start[0] = 0; }
  for (std::int64_t e = first; e < last; ++e) { args.row_start[e + 1] = start += rows_of(args, e); }
  __syncthreads();
  if (args.tile_expert && blockIdx.x == 0) { list_tiles(args, first, last, memory); }

  const std::int64_t cell = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (cell >= args.tokens * args.slots) { return; }
  const bool kept = args.expert_kept[cell];
  const std::int32_t row =
      kept ? args.row_start[args.expert_index[cell]] + args.queue_position[cell] : -1;
  args.cell_row[cell] = row;
  if (kept) { args.row_cell[row] = std::int32_t(cell); }
  if (cell >= args.row_start[args.experts]) { args.row_cell[cell] = -1; }
}

}  // namespace

int group_cuda(const GroupArgs& args, CudaStream stream) {
  return launch(group_kernel, blocks_for(args.tokens * args.slots, kThreads), 0, stream, args);
}

}  // namespace kappascope
