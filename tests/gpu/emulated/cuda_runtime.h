// The part of the CUDA runtime that kernels/*.cu use, on the CPU: a launch runs its blocks one
// after another, each thread of a block on a stack of its own, switched at barriers and warp
// operations. It finds wrong indices, wrong sums and barriers that not all threads reach (the
// program stops); the order of threads between two barriers changes from block to block, so that a
// missing barrier shows; shared memory holds NaN before each block. Built with -fsanitize=thread,
// each thread of a block is one of ThreadSanitizer's, ordered by barriers alone, so that every
// missing one is reported. EMULATED_MATH_ERROR=1 gives the fast functions the errors of the
// machine's (fast_math.h). It knows nothing of caches, alignment of loads apart, or speed.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>

#include "tests/gpu/emulated/fast_math.h"

#define KAPPASCOPE_EMULATED_MATH
#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#ifndef __forceinline__
#define __forceinline__ inline
#endif
#define KAPPASCOPE_SHARED(type, name) \
  static type& name = *static_cast<type*>(emulated::static_shared(sizeof(type)))
#define KAPPASCOPE_DYNAMIC_SHARED(type, name) \
  type* name = static_cast<type*>(emulated::dynamic_shared())

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  dim3(unsigned x_, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct CUstream_st;
struct CUevent_st {
  std::int64_t launches;  // so far when it was recorded
};
using cudaStream_t = CUstream_st*;
using cudaEvent_t = CUevent_st*;
enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorNotReady = 600,
  cudaErrorNotSupported = 801
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDefault = 4 };
enum cudaFuncAttribute {
  cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
  cudaFuncAttributePreferredSharedMemoryCarveout = 9
};

// Launches follow one another whatever their attributes say.
enum cudaLaunchAttributeID { cudaLaunchAttributeProgrammaticStreamSerialization = 6 };
struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  union {
    int programmaticStreamSerializationAllowed;
  } val;
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  cudaLaunchAttribute* attrs = nullptr;
  unsigned numAttrs = 0;
};
enum cudaDeviceAttr {
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76
};
enum cudaDriverEntryPointQueryResult {
  cudaDriverEntryPointSuccess = 0,
  cudaDriverEntryPointSymbolNotFound = 1
};
inline constexpr unsigned long long cudaEnableDefault = 0;

namespace emulated {

inline cudaError_t last_error = cudaSuccess;

// Of the thread that runs.
inline dim3 thread_index, block_index;
inline std::int64_t launches = 0;  // so far
inline std::int64_t waits = 0;     // of the host for what nothing had been started behind

// Runs `thread` as every thread of every block.
void run(const cudaLaunchConfig_t& config, const std::function<void()>& thread);
void* dynamic_shared();
void* static_shared(std::size_t bytes);  // one more variable
void block_barrier();
void warp_barrier();
void let_others();  // of a loop that waits for what another thread writes
// For ThreadSanitizer: what a thread has done before it releases a token, those that acquire it
// afterwards find done.
void release(char& token);
void acquire(char& token);
// Of what waits and counts in place of the machine, which orders nothing by itself.
#if defined(__SANITIZE_THREAD__)
#define EMULATED_UNSEEN __attribute__((noinline, no_sanitize("thread")))
#else
#define EMULATED_UNSEEN
#endif
// Gives `value` (≤ 8 bytes) to the lanes of the warp and returns what each of the 32 gave, as long
// as the lane does not exchange again.
const std::uint64_t* exchange(std::uint64_t value);
int lane();

template <typename T>
T from_lane(T value, int lane) {
  static_assert(sizeof(T) <= 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = exchange(bits)[lane & 31];
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace emulated

#define threadIdx emulated::thread_index
#define blockIdx emulated::block_index

// `error`, which the runtime also keeps until it is asked for.
inline cudaError_t emulated_error(cudaError_t error) {
  return emulated::last_error = error;
}

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  if (config->gridDim.y > 65535 || config->gridDim.z > 65535) {
    return emulated_error(cudaErrorInvalidConfiguration);
  }
  ++emulated::launches;
  emulated::run(*config, [&] { kernel(arguments...); });
  return cudaSuccess;
}
template <typename Kernel>
cudaError_t cudaFuncSetAttribute(Kernel, cudaFuncAttribute, int bytes) {
  return bytes <= 99 * 1024 ? cudaSuccess : emulated_error(cudaErrorInvalidValue);
}

inline void __syncthreads() {
  emulated::block_barrier();
}
inline void __threadfence() {}
inline void __syncwarp() {
  emulated::warp_barrier();
}
template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulated::from_lane(value, emulated::lane() ^ mask);
}
template <typename T>
T __shfl_sync(unsigned, T value, int lane) {
  return emulated::from_lane(value, lane);
}
template <typename T>
T __shfl_up_sync(unsigned, T value, unsigned by) {
  const int from = emulated::lane() - int(by);
  return emulated::from_lane(value, from < 0 ? emulated::lane() : from);
}
inline unsigned __ballot_sync(unsigned, bool value) {
  const std::uint64_t* given = emulated::exchange(value);
  unsigned lanes = 0;
  for (int lane = 0; lane < 32; ++lane) { lanes |= unsigned(given[lane]) << lane; }
  return lanes;
}
inline unsigned __match_any_sync(unsigned, std::int32_t value) {
  const std::uint64_t mine = std::uint32_t(value), *given = emulated::exchange(mine);
  unsigned same = 0;
  for (int lane = 0; lane < 32; ++lane) { same |= unsigned(given[lane] == mine) << lane; }
  return same;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                                   cudaStream_t) {
  ++emulated::launches;
  return std::memcpy(to, from, bytes), cudaSuccess;
}
inline int __ffs(int bits) {
  return __builtin_ffs(bits);
}
inline int __popc(unsigned bits) {
  return __builtin_popcount(bits);
}
template <typename T>
T atomicAdd(T* to, T value) {
  return __atomic_fetch_add(to, value, __ATOMIC_RELAXED);
}

inline cudaError_t cudaGetLastError() {
  return std::exchange(emulated::last_error, cudaSuccess);
}
inline const char* cudaGetErrorString(cudaError_t) {
  return "an error of the emulated runtime";
}
inline cudaError_t cudaGetDeviceCount(int* count) {
  return *count = 1, cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMultiProcessorCount      ? 132
           : attribute == cudaDevAttrComputeCapabilityMajor ? 9
                                                            : 0;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetPCIBusId(char* bus, int size, int device) {
  const char* const emulated = std::getenv("EMULATED_BUS");
  std::snprintf(bus, std::size_t(size), "%s.%d", emulated ? emulated : "0000:00:00", device);
  return cudaSuccess;
}
namespace emulated {
inline int get_device(int* handle, int ordinal) {
  return *handle = ordinal, 0;
}
inline int get_name(char* name, int size, int) {
  return std::snprintf(name, std::size_t(size), "CPU"), 0;
}
}  // namespace emulated
// The two functions of the driver that are asked for.
inline cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned,
                                                    unsigned long long,
                                                    cudaDriverEntryPointQueryResult* result) {
  *function = std::strcmp(name, "cuDeviceGet") == 0 ? reinterpret_cast<void*>(&emulated::get_device)
              : std::strcmp(name, "cuDeviceGetName") == 0
                  ? reinterpret_cast<void*>(&emulated::get_name)
                  : nullptr;
  *result = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}
inline cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return *free = *total = std::size_t(1) << 34, cudaSuccess;
}
inline cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return *event = new CUevent_st{}, cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  return event->launches = emulated::launches, cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  emulated::waits += event->launches == emulated::launches;
  return cudaSuccess;
}
inline cudaError_t cudaEventQuery(cudaEvent_t) {
  return cudaSuccess;
}
inline cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
  return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return delete event, cudaSuccess;
}
inline cudaError_t cudaEventElapsedTime(float* time, cudaEvent_t, cudaEvent_t) {
  return *time = 1, cudaSuccess;
}
inline cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFree(void* memory) {
  return std::free(memory), cudaSuccess;
}
inline cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  return std::memcpy(to, from, bytes), cudaSuccess;
}
inline cudaError_t cudaMemset(void* memory, int byte, std::size_t bytes) {
  return std::memset(memory, byte, bytes), cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize() {
  return cudaSuccess;
}
