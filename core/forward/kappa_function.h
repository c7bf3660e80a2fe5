// κ-SwiGLU as an operation that Torch can differentiate, by kernels of our own in both directions.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace kappascope {

// Sums of κ over what an operation computed.
struct KappaSums {
  double sum = 0, square = 0;
  std::int64_t count = 0;

  void add(const KappaSums& more) {
    sum += more.sum;
    square += more.square;
    count += more.count;
  }
};

// The rows of one expert: a ∘ up [rows,I], of z and up [rows,I] float32 on the device
// of the engine library.
//   score        s [rows]; undefined: none
//   bias, scale  b and α, [I] or [1]; undefined: none. Without both κ = 1.
//   log_bound    ln U
//   from_gate    u = α·z + b + s
// Derivatives by all five tensors; second derivatives are refused. κ is added to `sums` unless that
// is nullptr.
at::Tensor kappa_swiglu(const at::Tensor& z, const at::Tensor& up, const at::Tensor& score,
                        const at::Tensor& bias, const at::Tensor& scale, double log_bound,
                        bool from_gate, KappaSums* sums = nullptr);

}  // namespace kappascope
