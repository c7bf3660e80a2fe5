// Top-k routing with capacity on the GPU (SPEC §1.5, §5).
//
//   chosen = the K highest of logits + selection_bias     (equal scores: lower expert first)
//   weight = softmax over the chosen *logits*
//   queue_position = assignments of the same expert before this one, counted over every token's 1st
//   choice in token order, then every 2nd, …; at C or later it is dropped
//
// The positions take three steps, O(K·T + E·chunks): chunks of turns counted apart by a warp each,
// the counts of earlier chunks summed for each expert, and both added up.
#include "kernels/cuda_launch.h"
#include "kernels/route_math.h"

namespace kappascope {
namespace {

constexpr std::int64_t kChunk = 256;  // turns that one warp counts
constexpr Candidate kWorst{-INFINITY, INT32_MAX};

__device__ Candidate warp_best(Candidate mine) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    const Candidate other{__shfl_xor_sync(kAllLanes, mine.score, offset),
                          __shfl_xor_sync(kAllLanes, mine.expert, offset)};
    if (chosen_before(other, mine)) { mine = other; }
  }
  return mine;
}

// expert_index and margin of token t: the best of those that come after the last one found.
__device__ void choose(const RouteArgs& args, std::int64_t t, int lane) {
  const float* logits = args.logits + t * args.experts;
  Candidate last{};
  float margin = NAN;
  for (std::int64_t k = 0; k <= args.slots && k < args.experts; ++k) {
    Candidate mine = kWorst;
    for (std::int64_t e = lane; e < args.experts; e += kWarp) {
      const float bias = args.selection_bias ? args.selection_bias[e] : 0.0f;
      const Candidate other{logits[e] + bias, std::int32_t(e)};
      if ((k == 0 || chosen_before(last, other)) && chosen_before(other, mine)) { mine = other; }
    }
    mine = warp_best(mine);
    if (k == args.slots) { margin = last.score - mine.score; }
    if (k < args.slots && lane == 0) { args.expert_index[t * args.slots + k] = mine.expert; }
    last = mine;
  }
  if (lane == 0) { args.margin[t] = margin; }
}

struct TopTwo {
  float best = -INFINITY, second = -INFINITY;
};

__device__ TopTwo top_two(const float* logits, std::int64_t experts, int lane) {
  TopTwo two;
  for (std::int64_t e = lane; e < experts; e += kWarp) {
    const float logit = logits[e];
    if (logit > two.best) {
      two.second = two.best;
      two.best = logit;
    } else if (logit > two.second) {
      two.second = logit;
    }
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    const float best = __shfl_xor_sync(kAllLanes, two.best, offset);
    const float second = __shfl_xor_sync(kAllLanes, two.second, offset);
    two.second = fmaxf(fminf(two.best, best), fmaxf(two.second, second));
    two.best = fmaxf(two.best, best);
  }
  return two;
}

// p = softmax over all E: its maximum, its sum over the chosen, its entropy / ln E with
// −Σ p ln p = ln Σ eˣ − Σ p·x, x = logit − highest; and the gap between the two highest logits.
__device__ void describe_router(const RouteArgs& args, std::int64_t t, int lane) {
  const float* logits = args.logits + t * args.experts;
  const TopTwo two = top_two(logits, args.experts, lane);
  float sum = 0, weighted = 0;
  for (std::int64_t e = lane; e < args.experts; e += kWarp) {
    const float x = logits[e] - two.best, p = expf(x);
    sum += p;
    if (p != 0) { weighted += p * x; }
  }
  sum = warp_sum(sum);
  weighted = warp_sum(weighted);
  if (lane != 0) { return; }
  float selected = 0;
  for (std::int64_t k = 0; k < args.slots; ++k) {
    selected += expf(logits[args.expert_index[t * args.slots + k]] - two.best);
  }
  const bool valid = sum == sum;
  const float entropy =
      args.experts > 1 ? (logf(sum) - weighted / sum) / logf(float(args.experts)) : 0;
  args.top1_prob[t] = valid ? 1 / sum : NAN;
  args.selected_mass[t] = valid ? selected / sum : NAN;
  args.top_gap[t] = valid && args.experts > 1 ? two.best - two.second : NAN;
  args.entropy[t] = valid ? entropy : NAN;
}

// A warp a token.
__global__ void choose_kernel(RouteArgs args) {
  const int lane = int(threadIdx.x) % kWarp;
  const std::int64_t t = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (t >= args.tokens) { return; }
  choose(args, t, lane);
  __syncwarp();
  if (lane == 0) { weigh(args, t); }
  describe_router(args, t, lane);
}

// A warp a chunk: positions counted within it, and how many each expert got, counts [chunks,E].
__global__ void count_kernel(RouteArgs args, std::int32_t* counts) {
  const int lane = int(threadIdx.x) % kWarp;
  const std::int64_t chunk = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  const std::int64_t turns = args.tokens * args.slots;
  if (chunk * kChunk >= turns) { return; }
  std::int32_t* mine = counts + chunk * args.experts;
  for (std::int64_t e = lane; e < args.experts; e += kWarp) { mine[e] = 0; }
  __syncwarp();
  for (std::int64_t first = chunk * kChunk; first < (chunk + 1) * kChunk; first += kWarp) {
    const std::int64_t turn = first + lane;
    const bool valid = turn < turns;
    const std::int64_t cell = valid ? cell_of_turn(turn, args.tokens, args.slots) : 0;
    const std::int32_t e = valid ? args.expert_index[cell] : -1;
    const unsigned same = __match_any_sync(kAllLanes, e);
    const int before = __popc(same & ((1u << lane) - 1));
    const std::int32_t counted = valid ? mine[e] : 0;
    __syncwarp();  // all have read before the first of each expert writes
    if (valid) {
      args.queue_position[cell] = counted + before;
      if (before == 0) { mine[e] = counted + __popc(same); }
    }
    __syncwarp();
  }
}

// A thread an expert: counts[c] becomes what the chunks before c gave it.
__global__ void scan_kernel(RouteArgs args, std::int32_t* counts, std::int64_t chunks) {
  const std::int64_t e = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (e >= args.experts) { return; }
  std::int32_t total = 0;
  for (std::int64_t c = 0; c < chunks; ++c) {
    const std::int32_t here = counts[c * args.experts + e];
    counts[c * args.experts + e] = total;
    total += here;
  }
  args.assigned[e] = total;
}

// A thread a cell: its place, whether it is kept, its weight and s.
__global__ void place_kernel(RouteArgs args, const std::int32_t* counts) {
  const std::int64_t cell = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (cell >= args.tokens * args.slots) { return; }
  const std::int32_t e = args.expert_index[cell];
  const std::int64_t chunk = turn_of_cell(cell, args.tokens, args.slots) / kChunk;
  const std::int32_t position = args.queue_position[cell] + counts[chunk * args.experts + e];
  const bool kept = args.capacity < 0 || position < args.capacity;
  const float logit = args.logits[cell / args.slots * args.experts + e];
  args.queue_position[cell] = position;
  args.expert_kept[cell] = kept;
  args.kappa_input[cell] = kept ? kappa_score(args, args.expert_weight[cell], logit, e) : NAN;
  if (!kept) { args.expert_weight[cell] = 0; }
}

std::int64_t chunks_of(const RouteArgs& args) {
  return (args.tokens * args.slots + kChunk - 1) / kChunk;
}

}  // namespace

std::int64_t route_memory(const RouteArgs& args) {
  return chunks_of(args) * args.experts;
}

int route_cuda(const RouteArgs& args, std::int32_t* memory, CudaStream stream) {
  const std::int64_t chunks = chunks_of(args), cells = args.tokens * args.slots;
  int error = launch(choose_kernel, blocks_for(args.tokens, kWarps), 0, stream, args);
  if (!error) { error = launch(count_kernel, blocks_for(chunks, kWarps), 0, stream, args, memory); }
  if (!error) {
    error =
        launch(scan_kernel, blocks_for(args.experts, kThreads), 0, stream, args, memory, chunks);
  }
  if (!error) {
    error = launch(place_kernel, blocks_for(cells, kThreads), 0, stream, args, memory);
  }
  return error;
}

}  // namespace kappascope
