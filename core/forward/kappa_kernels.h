// The kernels of κ-SwiGLU in training, each engine library's own: kappa_kernels.cpp for the CPU,
// kappa_kernels_cuda.cpp for a GPU.
#pragma once

#include <ATen/ATen.h>

#include "core/forward/kappa_function.h"
#include "kernels/training_ops.h"

namespace kappascope {

// The rows of one expert, contiguous float32 on the device.
struct KappaRows {
  at::Tensor z, up;  // [rows,I]
  at::Tensor score;  // [rows]; undefined: none
  KappaView kappa;   // of tensors that outlive the call
  // [rows,I] ln κ / ln U: the forward pass on the CPU makes it where κ is learned, for the
  // derivatives. On a GPU undefined: there it takes longer to read than to compute.
  at::Tensor position;
};

// bias, scale: b and α, contiguous, [I] or [1]; undefined: none.
KappaRows kappa_rows(const at::Tensor& z, const at::Tensor& up, const at::Tensor& score,
                     const at::Tensor& bias, const at::Tensor& scale, double log_bound,
                     bool from_gate);

// a ∘ up [rows,I]; κ is added to `sums` unless that is nullptr. Sets rows.position if
// `keep`, on the CPU where κ is learned.
at::Tensor kappa_swiglu_forward(KappaRows& rows, bool keep, KappaSums* sums);

// Derivatives by each of the five; undefined: not wanted. The first three are written, those by b
// and α [I] or [1] are added to.
struct KappaGradients {
  at::Tensor z, up, score, bias, scale;
};
// What a kernel of the derivatives reads and writes, of all rows.
KappaSwigluBackwardArgs backward_args(const KappaRows& rows, const at::Tensor& grad,
                                      const KappaGradients& result);
// `grad` [rows,I]: those by what the forward gave.
void kappa_swiglu_backward(const KappaRows& rows, const at::Tensor& grad,
                           const KappaGradients& result);

}  // namespace kappascope
