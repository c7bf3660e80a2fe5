// Launches that overlap: a kernel may start while the one before it ends, and waits itself before
// it reads what that one writes. Compute capability 9.0; elsewhere, and in the emulation, each
// waits for the one before. For .cu files only.
#pragma once

#include "kernels/cuda_launch.h"

namespace kappascope {

// Every thread of an overlapping kernel calls it, also one that has nothing to do: a kernel is done
// only when the ones before it are.
__device__ inline void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// From here on the next kernel may start, once all blocks came here.
__device__ inline void let_next_start() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Starts a copy of 16 bytes into shared memory, or of zeros; another size is copied at once.
template <typename P>
__device__ void copy_async(P* to, const P* from, bool inside) {
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(P) == 16) {
    const auto at = unsigned(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from),
                 "r"(inside ? 16 : 0)
                 : "memory");
    return;
  }
#endif
  *to = inside ? *from : P{};
}
// What was started since the last call is one group.
__device__ inline void close_copies() {
#ifdef __CUDA_ARCH__
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// Until all groups of this thread but the last `Left` are there, for this thread.
template <int Left>
__device__ void wait_for_copies() {
#ifdef __CUDA_ARCH__
  asm volatile("cp.async.wait_group %0;" ::"n"(Left) : "memory");
#endif
}

// As `launch`, of a kernel that calls wait_for_previous.
template <typename... Parameters, typename... Arguments>
int launch_overlapping(bool overlap, void (*kernel)(Parameters...), dim3 grid,
                       std::size_t shared_bytes, CudaStream stream, const Arguments&... arguments) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = overlap ? 1 : 0;
  return launch(config, kernel, arguments...);
}

}  // namespace kappascope
