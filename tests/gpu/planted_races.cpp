// kappascope_planted_races none|block_barrier|warp_barrier: a kernel that passes values between its
// threads, with every barrier it needs or without one of them. Built with ThreadSanitizer, which
// must report the missing one and nothing else.
#include <cstdio>
#include <cstring>

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

}  // namespace
}  // namespace kappascope

int main(int argc, char** argv) {
  using namespace kappascope;
  if (argc != 2) { return 2; }
  int sums[2 * kThreads];
  const int error =
      launch(pass_on, dim3(2), 0, nullptr, static_cast<int*>(sums),
             std::strcmp(argv[1], "block_barrier") != 0, std::strcmp(argv[1], "warp_barrier") != 0);
  std::printf("%s: %d\n", argv[1], sums[0]);
  return error;
}
