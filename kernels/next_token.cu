// What is read off output logits, on the GPU (SPEC §4).
//
//   ln p(v) = logit_v − ln Σ exp(logit);  nll = −ln p(target)
//
// One block per row. Each thread keeps the five highest of its share in order, each warp the best
// head of its threads; five rounds then take the best of all, whose warp alone looks for its next.
#include "kernels/cuda_launch.h"
#include "kernels/route_math.h"

namespace kappascope {
namespace {

// Nothing: after every token.
constexpr Candidate kNone{-INFINITY, INT32_MAX};

struct TopList {
  Candidate best[kTopTokens] = {kNone, kNone, kNone, kNone, kNone};
};

// Keeps the list ordered, best first; NaN is never in it.
__device__ void keep(TopList& list, Candidate next) {
  if (next.score != next.score || !chosen_before(next, list.best[kTopTokens - 1])) { return; }
#pragma unroll
  for (int k = 0; k < kTopTokens; ++k) {
    if (!chosen_before(next, list.best[k])) { continue; }
    const Candidate moved = list.best[k];
    list.best[k] = next;
    next = moved;
  }
}

__device__ void drop_head(TopList& list) {
#pragma unroll
  for (int k = 0; k + 1 < kTopTokens; ++k) { list.best[k] = list.best[k + 1]; }
  list.best[kTopTokens - 1] = kNone;
}

__device__ Candidate better(const Candidate& a, const Candidate& b) {
  return chosen_before(b, a) ? b : a;
}

struct RowMemory {
  Candidate heads[kWarps];
  float highest[kWarps];
  double sums[kWarps];
  int counts[kWarps];
};

// The best of a warp, in every lane.
__device__ Candidate warp_best(Candidate mine) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    mine = better(mine, {__shfl_xor_sync(kAllLanes, mine.score, offset),
                         __shfl_xor_sync(kAllLanes, mine.index, offset)});
  }
  return mine;
}

// The best that each warp has left, one after another. All threads of a block at once.
class BlockBest {
 public:
  __device__ BlockBest(TopList& list, RowMemory& memory) : list_(list), memory_(memory) {
    take_head();
  }

  __device__ Candidate take() {
    __syncthreads();
    Candidate best = memory_.heads[0];
    for (int warp = 1; warp < kWarps; ++warp) { best = better(best, memory_.heads[warp]); }
    __syncthreads();  // all have read before the one warp writes
    if (best.index != kNone.index && best.index == head_.index) {
      if (best.index == list_.best[0].index) { drop_head(list_); }
      take_head();
    }
    return best;
  }

 private:
  __device__ void take_head() {
    head_ = warp_best(list_.best[0]);
    if (int(threadIdx.x) % kWarp == 0) { memory_.heads[threadIdx.x / kWarp] = head_; }
  }

  TopList& list_;
  RowMemory& memory_;
  Candidate head_{};  // of this warp
};

// ln Σ exp(logit); NaN when a logit is NaN or the highest is infinite.
__device__ double log_sum_exp(const float* logits, std::int64_t vocab, RowMemory& memory) {
  const int warp = int(threadIdx.x) / kWarp;
  float highest = -INFINITY;
  for (std::int64_t v = threadIdx.x; v < vocab; v += kThreads) {
    highest = fmaxf(highest, logits[v]);
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    highest = fmaxf(highest, __shfl_xor_sync(kAllLanes, highest, offset));
  }
  if (int(threadIdx.x) % kWarp == 0) { memory.highest[warp] = highest; }
  __syncthreads();
  for (int other = 0; other < kWarps; ++other) { highest = fmaxf(highest, memory.highest[other]); }
  double sum = 0;
  for (std::int64_t v = threadIdx.x; v < vocab; v += kThreads) {
    sum += double(expf(logits[v] - highest));
  }
  sum = warp_sum(sum);
  if (int(threadIdx.x) % kWarp == 0) { memory.sums[warp] = sum; }
  __syncthreads();
  sum = 0;
  for (int other = 0; other < kWarps; ++other) { sum += memory.sums[other]; }
  return double(highest) + log(sum);
}

// Logits above the target's, and equal ones of a lower id.
__device__ int rank_of(const float* logits, std::int64_t vocab, std::int32_t target,
                       RowMemory& memory) {
  int rank = 0;
  const float own = logits[target];
  for (std::int64_t v = threadIdx.x; v < vocab; v += kThreads) {
    rank += logits[v] > own || (logits[v] == own && v < target);
  }
  rank = warp_sum(rank);
  if (int(threadIdx.x) % kWarp == 0) { memory.counts[threadIdx.x / kWarp] = rank; }
  __syncthreads();
  rank = 0;
  for (int warp = 0; warp < kWarps; ++warp) { rank += memory.counts[warp]; }
  return rank;
}

__global__ void next_token_kernel(NextTokenArgs args) {
  KAPPASCOPE_SHARED(RowMemory, memory);
  const std::int64_t r = blockIdx.x;
  const float* logits = args.logits + r * args.vocab;
  const double normaliser = log_sum_exp(logits, args.vocab, memory);
  const std::int32_t target = args.target[r];
  float nll = NAN;
  std::int32_t rank = -1;
  if (target >= 0) {  // the same for the whole block
    const int above = rank_of(logits, args.vocab, target, memory);
    nll = float(normaliser - double(logits[target]));
    rank = nll == nll ? above : -1;
  }
  TopList list;
  for (std::int64_t v = threadIdx.x; v < args.vocab; v += kThreads) {
    keep(list, {logits[v], std::int32_t(v)});
  }
  BlockBest heads(list, memory);
  for (int k = 0; k < kTopTokens; ++k) {
    const Candidate best = heads.take();
    const bool found = best.index != kNone.index;
    if (threadIdx.x != 0) { continue; }
    args.top_id[r * kTopTokens + k] = found ? best.index : -1;
    args.top_logprob[r * kTopTokens + k] = found ? float(double(best.score) - normaliser) : NAN;
  }
  if (threadIdx.x != 0) { return; }
  args.nll[r] = nll;
  args.target_rank[r] = rank;
}

}  // namespace

int next_token_cuda(const NextTokenArgs& args, CudaStream stream) {
  return launch(next_token_kernel, blocks_for(args.rows, 1), 0, stream, args);
}

}  // namespace kappascope
