// The products of all experts by a kernel of our own for compute capability 9.0, which reads from
// memory how many rows an expert has. No CUDA header.
#pragma once

#include <cstdint>

#include "kernels/device_ops.h"

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

// κ-SwiGLU with the product of `up` in one kernel: swiglu.hidden = z·σ(κz) ∘ (x·W[e]), bit for bit
// what wgmma_product and grouped_swiglu make of it one after the other. up.y and swiglu.up are not
// used. It records nothing, and takes what wgmma_swiglu_takes says: bfloat16, and κ = 1 or a κ of
// each gate unit.
bool wgmma_swiglu_takes(const GroupedSwigluArgs& swiglu);
void wgmma_swiglu_ref(const WgmmaProductArgs& up, const GroupedSwigluArgs& swiglu);
int wgmma_swiglu_cuda(const WgmmaProductArgs& up, const GroupedSwigluArgs& swiglu,
                      int multiprocessors, CudaStream stream);

}  // namespace kappascope
