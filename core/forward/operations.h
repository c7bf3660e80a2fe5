// The few dense operations that every part of the forward pass uses.
#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "core/model/architecture.h"

namespace kappascope {

inline const float* data_or_null(const at::Tensor& values) {
  return values.defined() ? values.const_data_ptr<float>() : nullptr;
}

inline float* written(const at::Tensor& values) {
  return values.defined() ? values.mutable_data_ptr<float>() : nullptr;
}

// x / √(mean x² + ε)·w over the last dimension; `weight` undefined: w = 1.
inline at::Tensor rms_norm(const at::Tensor& x, const NormSpec& spec, const at::Tensor& weight) {
  if (x.is_cuda()) {  // one launch; on the CPU it is these operations, and takes longer
    return at::rms_norm(x, x.size(-1), weight.defined() ? std::optional(weight) : std::nullopt,
                        spec.epsilon);
  }
  const at::Tensor normed = x * (x.square().mean(-1, true) + spec.epsilon).rsqrt();
  return weight.defined() ? weight * normed : normed;
}

// Likewise, of x less its mean plus a bias where the norm is centred.
inline at::Tensor normed(const at::Tensor& x, const NormSpec& spec, const at::Tensor& weight,
                         const at::Tensor& bias) {
  if (!spec.centred) { return rms_norm(x, spec, weight); }
  return rms_norm(x - x.mean(-1, true), spec, weight) + bias;
}

// x [T,in] · weight [out,in]ᵀ → [T,out] float32; the product runs in the weight's type.
at::Tensor project(const at::Tensor& x, const at::Tensor& weight);

// Likewise plus bias [out]; undefined: none.
inline at::Tensor project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor y = project(x, weight);
  return bias.defined() ? y + bias : y;
}

// x [n,in] · weight [in,out] → [n,out] float32, for expert matrices stored input first.
inline at::Tensor product(const at::Tensor& x, const at::Tensor& weight) {
  return at::mm(x.to(weight.scalar_type()), weight).to(at::kFloat);
}

}  // namespace kappascope
