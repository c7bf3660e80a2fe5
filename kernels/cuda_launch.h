// What the kernels share: launching, and sums over a warp and a block. For .cu files only.
//
// Launches go through cudaLaunchKernelEx and no other syntax of nvcc is used, so that a C++
// compiler builds the same files against tests/gpu/emulated, which runs blocks on the CPU.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/device_ops.h"

// A variable in shared memory, and memory there of the size that the launch gave.
#ifndef KAPPASCOPE_SHARED
#define KAPPASCOPE_SHARED(type, name) __shared__ type name
#endif
#ifndef KAPPASCOPE_DYNAMIC_SHARED
#define KAPPASCOPE_DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#endif

namespace kappascope {

constexpr int kThreads = 256;  // of a block
constexpr int kWarp = 32;
constexpr int kWarps = kThreads / kWarp;
constexpr unsigned kAllLanes = 0xffffffffu;

// 0 or the CUDA error, which is then no longer the runtime's last one: Torch's next check would
// find it.
inline int reported(cudaError_t error) {
  if (error != cudaSuccess) { (void)cudaGetLastError(); }
  return int(error);
}

template <typename... Parameters, typename... Arguments>
int launch(const cudaLaunchConfig_t& config, void (*kernel)(Parameters...),
           const Arguments&... arguments) {
  return reported(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...));
}

// Starts `kernel` on blocks of kThreads. No block: nothing to do.
template <typename... Parameters, typename... Arguments>
int launch(void (*kernel)(Parameters...), dim3 grid, std::size_t shared_bytes, CudaStream stream,
           const Arguments&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) { return 0; }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  return launch(config, kernel, arguments...);
}

// Finds a function of the driver, with which nothing here is linked. 0 or a CUDA error.
template <typename Function>
int driver_function(const char* name, Function& function) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  const int error =
      reported(cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &result));
  if (error) { return error; }
  if (result != cudaDriverEntryPointSuccess) { return int(cudaErrorNotSupported); }
  function = reinterpret_cast<Function>(found);
  return 0;
}

inline dim3 blocks_for(std::int64_t items, std::int64_t per_block) {
  return dim3(unsigned((items + per_block - 1) / per_block));
}

// Asks for the line of the cache that holds `from`.
inline __device__ void prefetch_line(const void* from) {
#ifdef __CUDA_ARCH__
  asm volatile("prefetch.global.L2 [%0];" ::"l"(from));
#else
  (void)from;
#endif
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

// N consecutive elements as one value.
template <int N, typename T>
struct alignas(N * sizeof(T)) Pack {
  T value[N];
};

// N consecutive elements in registers, as words: what is held as halves of words costs an
// instruction for each use. N is 1, or the elements are 8 bytes or whole 16, and aligned to them.
template <int N, typename T>
struct Chunk {
  static constexpr int kWords = int((N * sizeof(T) + 3) / 4);
  std::uint32_t word[kWords];
};
// What one instruction moves of it.
template <int N>
struct alignas(4 * N) Words {
  std::uint32_t word[N];
};
template <int N, typename T>
using ChunkPart = Words<(Chunk<N, T>::kWords < 4 ? Chunk<N, T>::kWords : 4)>;

template <int N, typename T>
__device__ Chunk<N, T> load_chunk(const T* from) {
  using Part = ChunkPart<N, T>;
  static_assert(N == 1 || N * sizeof(T) % sizeof(Part) == 0);
  Chunk<N, T> chunk{};
  if constexpr (N == 1) {
    memcpy(chunk.word, from, sizeof(T));
  } else {
#pragma unroll
    for (int n = 0; n < int(N * sizeof(T) / sizeof(Part)); ++n) {
      const Part part = reinterpret_cast<const Part*>(from)[n];
      memcpy(chunk.word + n * sizeof(Part) / 4, &part, sizeof part);
    }
  }
  return chunk;
}
template <int N, typename T>
__device__ void store_chunk(const Chunk<N, T>& chunk, T* to) {
  if constexpr (N == 1) {
    memcpy(to, chunk.word, sizeof(T));
  } else {
    using Part = ChunkPart<N, T>;
    static_assert(N * sizeof(T) % sizeof(Part) == 0);
#pragma unroll
    for (int n = 0; n < int(N * sizeof(T) / sizeof(Part)); ++n) {
      Part part;
      memcpy(&part, chunk.word + n * sizeof(Part) / 4, sizeof part);
      reinterpret_cast<Part*>(to)[n] = part;
    }
  }
}

inline __device__ float float_of(std::uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

template <int N, typename T>
__device__ void widen_chunk(const Chunk<N, T>& chunk, float (&to)[N]) {
#pragma unroll
  for (int n = 0; n < N; ++n) {
    if constexpr (std::is_same_v<T, float>) {
      to[n] = float_of(chunk.word[n]);
    } else {
      to[n] = float_of(n % 2 == 0 ? chunk.word[n / 2] << 16 : chunk.word[n / 2] & 0xffff0000u);
    }
  }
}

template <int N, typename T>
__device__ Chunk<N, T> narrow_chunk(const float (&from)[N]) {
  Chunk<N, T> chunk{};
  if constexpr (std::is_same_v<T, float>) {
    memcpy(chunk.word, from, sizeof from);
  } else {
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      const float second = n + 1 < N ? from[n + 1 < N ? n + 1 : n] : 0;
#ifdef __CUDA_ARCH__
      // Two in one instruction instead of one in six; NaN becomes another NaN than on the CPU.
      asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(chunk.word[n / 2]) : "f"(second), "f"(from[n]));
#else
      BFloat16 low, high;
      narrow(from[n], low);
      narrow(second, high);
      chunk.word[n / 2] = low.bits | std::uint32_t(high.bits) << 16;
#endif
    }
  }
  return chunk;
}

template <int N, typename T>
__device__ void load_values(const T* from, float (&to)[N]) {
  widen_chunk<N, T>(load_chunk<N>(from), to);
}
template <int N, typename T>
__device__ void store_values(const float (&from)[N], T* to) {
  store_chunk<N, T>(narrow_chunk<N, T>(from), to);
}

// N elements of a product from `at` on, partial products added; T is float where there are any.
template <int N, typename T>
__device__ Chunk<N, T> fetch_product(const ProductView& view, std::int64_t at) {
  if constexpr (std::is_same_v<T, float>) {
    if (view.partials > 0) {
      float sum[N] = {};
      for (std::int64_t part = 0; part < view.partials; ++part) {
        float one[N];
        load_values<N>(static_cast<const float*>(view.data) + part * view.partial_stride + at, one);
        for (int n = 0; n < N; ++n) { sum[n] += one[n]; }
      }
      return narrow_chunk<N, float>(sum);
    }
  }
  return load_chunk<N>(static_cast<const T*>(view.data) + at);
}

}  // namespace kappascope
