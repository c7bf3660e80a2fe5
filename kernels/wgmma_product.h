// The products of all experts by a kernel of our own for compute capability 9.0, which reads from
// memory how many rows an expert has. No CUDA header.
#pragma once

#include <cstdint>

#include "kernels/cuda_device.h"

namespace kappascope {

// y[r] = x[r]·W[e] for the rows r of each expert e, all in bfloat16, summed in float32; `in` and
// `out` are multiples of 8. Rows past the last expert's are left as they are.
struct WgmmaProductArgs {
  std::int64_t experts = 0, in = 0, out = 0, rows = 0;
  const void* x = nullptr;             // [rows,in] on the device, as all
  const void* weight = nullptr;        // [E,in,out]
  void* y = nullptr;                   // [rows,out]
  const std::int32_t* ends = nullptr;  // [E] rows of the experts up to this one, ≤ rows
};
inline constexpr std::int64_t kMostWgmmaExperts = 512;

// Whether this build has the kernel: it is compiled where the architectures hold 90.
bool has_wgmma_product();

void wgmma_product_ref(const WgmmaProductArgs& args);
int wgmma_product_cuda(const WgmmaProductArgs& args, int multiprocessors, CudaStream stream);

}  // namespace kappascope
