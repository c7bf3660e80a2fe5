// What the kernels share: launching, and sums over a warp and a block. For .cu files only.
//
// Launches go through cudaLaunchKernelEx and no other syntax of nvcc is used, so that a C++
// compiler builds the same files against tests/gpu/emulated, which runs blocks on the CPU.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/device_ops.h"

// Shared memory of the size that the launch gave.
#ifndef KAPPASCOPE_DYNAMIC_SHARED
#define KAPPASCOPE_DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#endif

namespace kappascope {

constexpr int kThreads = 256;  // of a block
constexpr int kWarp = 32;
constexpr int kWarps = kThreads / kWarp;
constexpr unsigned kAllLanes = 0xffffffffu;

// Starts `kernel` on blocks of kThreads; 0 or the CUDA error. No block: nothing to do.
template <typename... Parameters, typename... Arguments>
int launch(void (*kernel)(Parameters...), dim3 grid, std::size_t shared_bytes, CudaStream stream,
           const Arguments&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) { return 0; }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  return int(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...));
}

inline dim3 blocks_for(std::int64_t items, std::int64_t per_block) {
  return dim3(unsigned((items + per_block - 1) / per_block));
}

// Σ over the lanes of a warp, the same in every lane.
template <typename T>
__device__ T warp_sum(T value) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, offset);
  }
  return value;
}

// total[n] = Σ values[n] over the block, in double and always in the same order. `scratch` and
// `total` are shared memory, [kWarps·N] and [N]; every thread may read `total` afterwards.
template <int N>
__device__ void block_sums(const float (&values)[N], float* scratch, double* total) {
  const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
  for (int n = 0; n < N; ++n) {
    const float sum = warp_sum(values[n]);
    if (lane == 0) { scratch[warp * N + n] = sum; }
  }
  __syncthreads();
  if (int(threadIdx.x) < N) {
    double sum = 0;
    for (int w = 0; w < kWarps; ++w) { sum += double(scratch[w * N + int(threadIdx.x)]); }
    total[threadIdx.x] = sum;
  }
  __syncthreads();
}

// N consecutive elements as float32; `from` is aligned to all of them.
template <int N, typename T>
struct alignas(N * sizeof(T)) Pack {
  T value[N];
};
template <int N, typename T>
__device__ void load_pack(const T* from, float (&to)[N]) {
  const Pack<N, T> pack = *reinterpret_cast<const Pack<N, T>*>(from);
  for (int n = 0; n < N; ++n) { to[n] = widen(pack.value[n]); }
}
template <int N, typename T>
__device__ void store_pack(const float (&from)[N], T* to) {
  Pack<N, T> pack;
  for (int n = 0; n < N; ++n) { narrow(from[n], pack.value[n]); }
  *reinterpret_cast<Pack<N, T>*>(to) = pack;
}

}  // namespace kappascope
