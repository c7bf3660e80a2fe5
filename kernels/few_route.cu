// Routing of a few tokens in one launch, on the GPU (SPEC §1.5).
//
//   logits = x·routerᵀ + bias; chosen, weight, queue positions and κ's s as in route.cu; the places
//   of few.h
//
// One block per expert and group of tokens multiplies; the one that ends last does the rest.
// There a cell counts the ones before it instead of keeping a queue for each expert: T·K is small.
#include "kernels/few.h"
#include "kernels/few_launch.h"
#include "kernels/route_warp.h"

namespace kappascope {
namespace {

constexpr int kGroup = 4;  // tokens that a block multiplies at once
constexpr int kNoTile = INT32_MAX;

struct RouterMemory {
  float sum[kWarps][kGroup];
};

// Logits of one expert and the tokens [first, first + kGroup), by one block.
template <int Width>
__device__ void multiply_router(const FewRouteArgs& args, std::int64_t expert, std::int64_t first) {
  KAPPASCOPE_SHARED(RouterMemory, memory);
  const std::int64_t tokens = args.route.routing.tokens;
  const float* router = args.router + expert * args.width;
  float sums[kGroup] = {};
  const float* x[kGroup];  // past the last token its values once more
#pragma unroll
  for (int t = 0; t < kGroup; ++t) {
    x[t] = args.x + (first + t < tokens ? first + t : tokens - 1) * args.width;
  }
  for (std::int64_t h = threadIdx.x * Width; h < args.width; h += kThreads * Width) {
    float weight[Width], value[kGroup][Width];
    load_values<Width>(router + h, weight);
#pragma unroll
    for (int t = 0; t < kGroup; ++t) { load_values<Width>(x[t] + h, value[t]); }
#pragma unroll
    for (int t = 0; t < kGroup; ++t) {
      for (int w = 0; w < Width; ++w) { sums[t] += weight[w] * value[t][w]; }
    }
  }
  const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
#pragma unroll
  for (int t = 0; t < kGroup; ++t) {
    const float sum = warp_sum(sums[t]);
    if (lane == 0) { memory.sum[warp][t] = sum; }
  }
  __syncthreads();
  const int t = int(threadIdx.x);
  if (t >= kGroup || first + t >= tokens) { return; }
  float sum = 0;
  for (int part = 0; part < kWarps; ++part) { sum += memory.sum[part][t]; }
  if (args.router_bias) { sum += args.router_bias[expert]; }
  args.logits[(first + t) * args.route.routing.experts + expert] = sum;
}

// Whether this is the last block of the launch; then what the others wrote may be read.
__device__ bool is_last_block(std::int32_t* arrived, int blocks) {
  KAPPASCOPE_SHARED(int, last);
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicAdd(arrived, 1) == blocks - 1;
    if (last) { *arrived = 0; }
    __threadfence();
  }
  __syncthreads();
  return last != 0;
}

struct PlaceMemory {
  std::int32_t expert[kMostFewCells];    // by turn
  float weight[kMostFewCells];           // likewise
  std::int32_t position[kMostFewCells];  // in its queue
  std::int32_t kept[kMostFewCells];      // how many the expert keeps
  std::int32_t head[kMostFewCells];      // its expert where a tile starts; else kNoTile
};

// Experts and weights of token t, by one warp.
template <int Held>
__device__ void choose(const RouteArgs& args, std::int64_t t, int lane, PlaceMemory& memory) {
  const std::int64_t tokens = args.routing.tokens, slots = args.routing.slots;
  Choice<Held, false> choice(args, t, lane);
  std::int32_t mine = 0;
  for (std::int64_t k = 0; k < slots; ++k) {
    const std::int32_t expert = choice.next().index;
    if (lane == k) { mine = expert; }
    if (lane != 0) { continue; }
    args.routing.cells.expert[t * slots + k] = expert;
    memory.expert[k * tokens + t] = expert;
  }
  weigh_warp(args, t, lane, mine);
  for (std::int64_t k = lane; k < slots; k += kWarp) {
    memory.weight[k * tokens + t] = args.routing.cells.weight[t * slots + k];
  }
}

// Positions in the queues, and which turns start a tile.
__device__ void count_turns(const RouteArgs& args, int cells, PlaceMemory& memory) {
  for (int turn = int(threadIdx.x); turn < cells; turn += kThreads) {
    const std::int32_t e = memory.expert[turn];
    std::int32_t before = 0, all = 0;
    for (int other = 0; other < cells; ++other) {
      const bool same = memory.expert[other] == e;
      all += same;
      before += same && other < turn;
    }
    const bool fits = args.capacity < 0 || all < args.capacity;
    const std::int32_t kept = fits ? all : std::int32_t(args.capacity);
    memory.position[turn] = before;
    memory.kept[turn] = kept;
    memory.head[turn] = before < kept && before % kTileRows == 0 ? e : kNoTile;
  }
}

// The place of a kept cell in tile number `tile`.
__device__ void write_place(const FewPlaces& places, std::int64_t cell, std::int32_t tile, int turn,
                            const PlaceMemory& memory) {
  const std::int32_t position = memory.position[turn], row = position % kTileRows;
  places.cell_place[cell] = tile * kTileRows + row;
  places.place_cell[tile * kTileRows + row] = std::int32_t(cell);
  if (row != 0) { return; }
  const std::int32_t rest = memory.kept[turn] - position;
  places.tile_expert[tile] = memory.expert[turn];
  places.tile_rows[tile] = rest < kTileRows ? rest : kTileRows;
  for (int none = rest; none < kTileRows; ++none) {
    places.place_cell[tile * kTileRows + none] = -1;
  }
}

__device__ void place_turns(const FewRouteArgs& args, int cells, const PlaceMemory& memory) {
  const RoutingView& routing = args.route.routing;
  for (int turn = int(threadIdx.x); turn < cells; turn += kThreads) {
    const std::int32_t e = memory.expert[turn];
    std::int32_t before = 0, all = 0;
    for (int other = 0; other < cells; ++other) {
      before += memory.head[other] < e;
      all += memory.head[other] != kNoTile;
    }
    if (turn == 0) { *args.places.tiles = all; }
    const std::int64_t cell = cell_of_turn(turn, routing.tokens, routing.slots);
    const std::int64_t t = cell / routing.slots;
    const bool kept = memory.position[turn] < memory.kept[turn];
    const Assignments& to = routing.cells;
    to.kept[cell] = kept;
    to.score[cell] = kept ? kappa_score(args.route, memory.weight[turn], t, e) : NAN;
    if (kept) {
      write_place(args.places, cell, before + memory.position[turn] / kTileRows, turn, memory);
    } else {
      to.weight[cell] = 0;
      args.places.cell_place[cell] = -1;
    }
  }
}

template <int Width, int Held>
__global__ void __launch_bounds__(kThreads, 3) few_route_kernel(FewRouteArgs args, int blocks) {
  KAPPASCOPE_SHARED(PlaceMemory, memory);
  const RoutingView& routing = args.route.routing;
  const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
  let_next_start();
  if (args.x) {
    const std::int64_t job = blockIdx.x;
    multiply_router<Width>(args, job % routing.experts, job / routing.experts * kGroup);
    if (!is_last_block(args.arrived, blocks)) { return; }
  }
  for (std::int64_t t = warp; t < routing.tokens; t += kWarps) {
    choose<Held>(args.route, t, lane, memory);
  }
  __syncthreads();
  const int cells = int(routing.tokens * routing.slots);
  count_turns(args.route, cells, memory);
  __syncthreads();
  place_turns(args, cells, memory);
}

// Scores are held in registers where there are few enough experts: each choice looks at all.
template <int Width>
auto kernel_for(std::int64_t experts) {
  return experts <= 2 * kWarp   ? few_route_kernel<Width, 2>
         : experts <= 4 * kWarp ? few_route_kernel<Width, 4>
         : experts <= 8 * kWarp ? few_route_kernel<Width, 8>
                                : few_route_kernel<Width, 0>;
}

}  // namespace

int few_route_cuda(const FewRouteArgs& args, CudaStream stream) {
  const RoutingView& routing = args.route.routing;
  if (routing.tokens * routing.slots > kMostFewCells) { return int(cudaErrorInvalidValue); }
  const std::int64_t jobs = (routing.tokens + kGroup - 1) / kGroup * routing.experts;
  const dim3 grid = args.x ? dim3(unsigned(jobs)) : dim3(1);
  const auto kernel =
      args.width % 4 == 0 ? kernel_for<4>(routing.experts) : kernel_for<1>(routing.experts);
  return launch(kernel, grid, 0, stream, args, int(grid.x));
}

}  // namespace kappascope
