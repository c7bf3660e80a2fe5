// The operations that training needs beside those of kernels.h.
#pragma once

#include "kernels/device_ops.h"
#include "kernels/kernels.h"

namespace kappascope {

// The derivatives of a loss by what kappa_swiglu_ref read, from those by the hidden units that it
// gave, over the rows of one expert (kappa_gradient.h).
struct KappaSwigluBackwardArgs {
  std::int64_t rows = 0, gates = 0;
  const float* gate_pre = nullptr;     // [rows,I] z
  const float* up = nullptr;           // [rows,I]
  const float* score = nullptr;        // [rows] s; nullptr: none
  KappaView kappa;                     // of this expert
  bool identity_gate = false;          // bilinear experts: hidden = z ∘ up
  const float* grad_hidden = nullptr;  // [rows,I]
  // [rows,I] ln κ / ln U as the forward pass gave it (KappaSwigluArgs::position_out), which spares
  // the CPU its tanh; with no kappa.factor. nullptr: computed.
  const float* position = nullptr;

  float* grad_gate_pre = nullptr;  // [rows,I] may be the same memory as grad_hidden
  float* grad_up = nullptr;        // [rows,I]
  float* grad_score = nullptr;     // [rows]; nullptr: not wanted
  // Added to, where kappa.bias and kappa.scale have their values; nullptr: not wanted.
  float* grad_bias = nullptr;
  float* grad_scale = nullptr;
};
void kappa_swiglu_backward_ref(const KappaSwigluBackwardArgs& args);

// On a GPU: `memory` is kappa_swiglu_backward_memory(args) floats of scratch there. The same input
// gives the same bits. 0 or a CUDA error.
std::int64_t kappa_swiglu_backward_memory(const KappaSwigluBackwardArgs& args);
int kappa_swiglu_backward_cuda(const KappaSwigluBackwardArgs& args, float* memory,
                               CudaStream stream);

// Its twin among the kernels of an instruction set (usable_cpu_kernels).
using KappaSwigluBackward = void (*)(const KappaSwigluBackwardArgs& args);
KappaSwigluBackward kappa_swiglu_backward_of(const CpuKernels& kernels);

}  // namespace kappascope
