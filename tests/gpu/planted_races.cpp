// kappascope_planted_races none|block_barrier|warp_barrier|copy_barrier: kernels that pass values
// between their threads, with every barrier they need or without one of them. Built with
// ThreadSanitizer, which must report the missing one and nothing else.
#include <cstdio>
#include <cstring>

#include <emulated_wgmma.h>

#include "kernels/cuda_launch.h"

namespace kappascope {
namespace {

struct PassedOn {
  int of_block[kThreads], of_warp[kThreads];
};

// sums[i]: Σ of what the thread's neighbours of the block and of the warp have put down.
__global__ void pass_on(int* sums, bool block_barrier, bool warp_barrier) {
  KAPPASCOPE_SHARED(PassedOn, passed);
  const int thread = int(threadIdx.x), lane = thread % kWarp;
  passed.of_warp[thread] = thread;
  if (warp_barrier) { __syncwarp(); }
  const int of_warp = passed.of_warp[thread - lane + (lane + 1) % kWarp];
  passed.of_block[thread] = thread;
  if (block_barrier) { __syncthreads(); }
  sums[blockIdx.x * kThreads + threadIdx.x] =
      of_warp + passed.of_block[(thread + kWarp) % kThreads];
}

struct HandedOver {
  wgmma::Barrier full;
  int value;
};

// numbers[i]: what thread 0 has put down for all, by a barrier of wgmma.h.
__global__ void hand_over(int* numbers, bool waits) {
  KAPPASCOPE_SHARED(HandedOver, handed);
  if (threadIdx.x == 0) { handed.full.init(1); }
  __syncthreads();
  if (threadIdx.x == 0) {
    handed.value = 7;
    handed.full.arrive();
  }
  if (waits) { handed.full.wait(0); }
  numbers[blockIdx.x * kThreads + threadIdx.x] = handed.value;
}

}  // namespace
}  // namespace kappascope

int main(int argc, char** argv) {
  using namespace kappascope;
  if (argc != 2) { return 2; }
  int sums[2 * kThreads];
  const auto has = [&](const char* barrier) { return std::strcmp(argv[1], barrier) != 0; };
  int error = launch(hand_over, dim3(2), 0, nullptr, static_cast<int*>(sums), has("copy_barrier"));
  if (!error) {
    error = launch(pass_on, dim3(2), 0, nullptr, static_cast<int*>(sums), has("block_barrier"),
                   has("warp_barrier"));
  }
  std::printf("%s: %d\n", argv[1], sums[0]);
  return error;
}
