// The few dense operations that every part of the forward pass uses.
#pragma once

#include <ATen/ATen.h>

#include <limits>

namespace kappascope {

// x / √(mean x² + ε) over the last dimension, no weights (SPEC §1.4).
inline at::Tensor rms_norm(const at::Tensor& x) {
  return x * (x.square().mean(-1, true) + std::numeric_limits<float>::epsilon()).rsqrt();
}

// x [T,in] · weight [out,in]ᵀ → [T,out] float32; the product runs in the weight's type.
inline at::Tensor project(const at::Tensor& x, const at::Tensor& weight) {
  return at::mm(x.to(weight.scalar_type()), weight.t()).to(at::kFloat);
}

// x [n,in] · weight [in,out] → [n,out] float32, for expert matrices stored input first.
inline at::Tensor product(const at::Tensor& x, const at::Tensor& weight) {
  return at::mm(x.to(weight.scalar_type()), weight).to(at::kFloat);
}

}  // namespace kappascope
