// Top-k routing with capacity on the GPU (SPEC §1.5, §5, SPEC-families §1).
//
//   chosen = the K highest of c = logits + selection_bias, or c = q + selection_bias, among the
//            groups that are kept                          (equal scores: lower expert first);
//            a given expert takes its slot, the best ones left take the others
//   weight = softmax over the chosen *logits*, or what RouterRule says
//   queue_position = assignments of the same expert before this one, counted over every token's 1st
//   choice in token order, then every 2nd, …; at C or later it is dropped
//
// The positions take three steps, O(K·T + E·chunks): one warp per chunk of turns counts it alone,
// the counts of earlier chunks are summed for each expert, and both are added.
#include "kernels/route_warp.h"

namespace kappascope {
namespace {

constexpr int kChunk = 256;  // turns that one warp counts
constexpr int kSteps = kChunk / kWarp;

// expert and weight of token t, and its margin where that is wanted.
template <int Held>
__device__ void choose(const RouteArgs& args, std::int64_t t, int lane) {
  const RoutingView& routing = args.routing;
  const std::int64_t experts = routing.experts, slots = routing.slots;
  Choice<Held> choice(args, t, lane);
  Candidate last{};
  float margin = NAN;
  std::int32_t mine = 0;
  // One past the chosen ones, where the margin is wanted.
  const std::int64_t picks = routing.numbers.margin && slots < experts ? slots + 1 : slots;
  for (std::int64_t k = 0; k < picks; ++k) {
    const Candidate best = choice.next();
    if (k == slots) {
      margin = margin_of(last.score, best.score);
      break;
    }
    last = best;
    if (lane == k) { mine = best.index; }
    if (lane == 0) { routing.cells.expert[t * slots + k] = best.index; }
  }
  weigh_warp(args, t, lane, mine);
  if (lane == 0 && routing.numbers.margin) {
    routing.numbers.margin[t] = smaller_margin(margin, choice.group_margin());
  }
}

// One warp per token.
template <int Held>
__global__ void choose_kernel(RouteArgs args) {
  const int lane = int(threadIdx.x) % kWarp;
  const std::int64_t t = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (t >= args.routing.tokens) { return; }
  choose<Held>(args, t, lane);
  if (args.routing.numbers.margin) {
    describe_router(args.routing, t, args.routing.slots, lane, args.rule.score);
  }
}

// The same where experts are given.
__global__ void given_kernel(RouteArgs args) {
  const int lane = int(threadIdx.x) % kWarp;
  const std::int64_t t = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (t >= args.routing.tokens) { return; }
  float* const margins = args.routing.numbers.margin;
  if (lane == 0) {
    const float margin = choose_given(args, t);
    if (margins) { margins[t] = margin; }
    weigh(args, t);
  }
  if (margins) { describe_router(args.routing, t, args.routing.slots, lane, args.rule.score); }
}

// One warp per chunk: positions counted within it, and how many each expert got, counts [chunks,E].
__global__ void count_kernel(RouteArgs args, std::int32_t* counts) {
  const int lane = int(threadIdx.x) % kWarp;
  const int chunk = int(blockIdx.x) * kWarps + int(threadIdx.x) / kWarp;
  const int tokens = int(args.routing.tokens), slots = int(args.routing.slots);
  const int turns = tokens * slots, begin = chunk * kChunk + lane;
  if (chunk * kChunk >= turns) { return; }
  const auto cell_at = [&](int turn) { return turn % tokens * slots + turn / tokens; };
  std::int32_t* mine = counts + chunk * args.routing.experts;
  for (std::int64_t e = lane; e < args.routing.experts; e += kWarp) { mine[e] = 0; }
  std::int32_t expert[kSteps];  // all on their way together; −1: none
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int turn = begin + step * kWarp;
    const int cell = turn < turns ? cell_at(turn) : 0;
    const bool waits = turn < turns && (!args.kept_is_given || args.routing.cells.kept[cell]);
    expert[step] = waits ? args.routing.cells.expert[cell] : -1;
  }
  __syncwarp();
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const std::int32_t e = expert[step];
    const bool valid = e >= 0;
    const unsigned same = __match_any_sync(kAllLanes, e);
    const int before = __popc(same & ((1u << lane) - 1));
    const std::int32_t counted = valid ? mine[e] : 0;
    __syncwarp();  // all have read before the first of each expert writes
    if (valid) {
      args.queue_position[cell_at(begin + step * kWarp)] = counted + before;
      if (before == 0) { mine[e] = counted + __popc(same); }
    }
    __syncwarp();
  }
}

// One warp per expert: counts[c] becomes what the chunks before c gave it.
__global__ void scan_kernel(RouteArgs args, std::int32_t* counts, std::int64_t chunks) {
  const std::int64_t e = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (e >= args.routing.experts) { return; }
  const int lane = int(threadIdx.x) % kWarp;
  std::int32_t total = 0;
  for (std::int64_t first = 0; first < chunks; first += kWarp) {
    const std::int64_t at = (first + lane) * args.routing.experts + e;
    const std::int32_t here = first + lane < chunks ? counts[at] : 0;
    std::int32_t through = here;
    for (int reach = 1; reach < kWarp; reach *= 2) {
      const std::int32_t left = __shfl_up_sync(kAllLanes, through, unsigned(reach));
      if (lane >= reach) { through += left; }
    }
    if (first + lane < chunks) { counts[at] = total + through - here; }
    total += __shfl_sync(kAllLanes, through, kWarp - 1);
  }
  if (lane == 0) { args.assigned[e] = total; }
}

// One thread per cell: its place, whether it is kept, its weight and s.
__global__ void place_kernel(RouteArgs args, const std::int32_t* counts) {
  const RoutingView& routing = args.routing;
  const Assignments& cells = routing.cells;
  const std::int64_t cell = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (cell >= routing.tokens * routing.slots) { return; }
  const std::int32_t e = cells.expert[cell];
  const std::int64_t chunk = turn_of_cell(cell, routing.tokens, routing.slots) / kChunk;
  const bool waits = !args.kept_is_given || cells.kept[cell];
  const std::int32_t position =
      waits ? args.queue_position[cell] + counts[chunk * routing.experts + e] : 0;
  const bool kept = args.kept_is_given ? waits : args.capacity < 0 || position < args.capacity;
  const std::int64_t t = cell / routing.slots;
  args.queue_position[cell] = position;
  cells.kept[cell] = kept;
  cells.score[cell] = kept ? kappa_score(args, cells.weight[cell], t, e) : NAN;
  if (!kept) { cells.weight[cell] = 0; }
}

std::int64_t chunks_of(const RouteArgs& args) {
  return (args.routing.tokens * args.routing.slots + kChunk - 1) / kChunk;
}

}  // namespace

std::int64_t route_memory(const RouteArgs& args) {
  return chunks_of(args) * args.routing.experts;
}

int place_in_queues(const RouteArgs& args, std::int32_t* memory, CudaStream stream) {
  const std::int64_t chunks = chunks_of(args), cells = args.routing.tokens * args.routing.slots;
  int error = launch(count_kernel, blocks_for(chunks, kWarps), 0, stream, args, memory);
  if (!error) {
    error = launch(scan_kernel, blocks_for(args.routing.experts, kWarps), 0, stream, args, memory,
                   chunks);
  }
  if (!error) {
    error = launch(place_kernel, blocks_for(cells, kThreads), 0, stream, args, memory);
  }
  return error;
}

int route_cuda(const RouteArgs& args, std::int32_t* memory, CudaStream stream) {
  const std::int64_t experts = args.routing.experts;
  const auto choose = args.given_expert      ? given_kernel
                      : experts <= 2 * kWarp ? choose_kernel<2>
                      : experts <= 4 * kWarp ? choose_kernel<4>
                      : experts <= 8 * kWarp ? choose_kernel<8>
                                             : choose_kernel<0>;
  const int error = launch(choose, blocks_for(args.routing.tokens, kWarps), 0, stream, args);
  return error ? error : place_in_queues(args, memory, stream);
}

}  // namespace kappascope
