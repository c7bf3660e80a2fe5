// The arithmetic of κ-SwiGLU, one scalar at a time, for the CPU and the GPU.
//
//   κ = exp(ln U · tanh(α·s + b)),  SiLU_κ(z) = z·σ(κz)         (arXiv 2606.00761)
#pragma once

#include <cmath>

#ifdef __CUDACC__
#define KAPPASCOPE_HOST_DEVICE __host__ __device__
#else
#define KAPPASCOPE_HOST_DEVICE
#endif

namespace kappascope {

// κ of one gate unit. `argument` is α·s + b, or s·b where the input is constant.
KAPPASCOPE_HOST_DEVICE inline float kappa_value(float log_bound, float argument) {
  return std::exp(log_bound * std::tanh(argument));
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
