// The arithmetic of κ-SwiGLU, one scalar at a time, for the CPU and the GPU.
//
//   κ = factor · exp(ln U · tanh u),  SiLU_κ(z) = z·σ(κz)         (arXiv 2606.00761)
//
// factor is 1 unless an intervention says otherwise; KappaView of kernels.h says what u is.
#pragma once

#include <cmath>

#ifdef __CUDACC__
#define KAPPASCOPE_HOST_DEVICE __host__ __device__
#else
#define KAPPASCOPE_HOST_DEVICE
#endif
// Never a function of its own: the files of kernels/cpu would each leave one for their instruction
// set, and the linker would keep any of them for all machines.
#define KAPPASCOPE_INLINED KAPPASCOPE_HOST_DEVICE inline __attribute__((always_inline))

namespace kappascope {

// Gate units with |κz| below the first work linearly, above the second they are saturated (SPEC
// §5).
inline constexpr float kLinearKz = 1, kSaturatedKz = 4;

// κ of one gate unit, `argument` being u.
KAPPASCOPE_HOST_DEVICE inline float kappa_value(float log_bound, float argument) {
  return std::exp(log_bound * std::tanh(argument));
}

// ln κ / ln U of κ = factor · U^tanh_u, clamped to [−1,1]; NaN stays NaN.
KAPPASCOPE_INLINED float kappa_position(float log_bound, float factor, float tanh_u) {
  const float moved = factor == 1 ? tanh_u : tanh_u + std::log(factor) / log_bound;
  return moved < -1 ? -1.0f : moved > 1 ? 1.0f : moved;
}

// 1 / (1 + e^−x), without overflow on either side.
KAPPASCOPE_HOST_DEVICE inline float sigmoid(float x) {
  if (x >= 0) { return 1 / (1 + std::exp(-x)); }
  const float e = std::exp(x);
  return e / (1 + e);
}

KAPPASCOPE_HOST_DEVICE inline float silu_kappa(float z, float kappa) {
  return z * sigmoid(kappa * z);
}

}  // namespace kappascope
