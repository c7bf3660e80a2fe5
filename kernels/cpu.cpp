#include "kernels/training_ops.h"

namespace kappascope {

namespace generic {
extern const CpuKernels kernels;
void kappa_swiglu_backward(const KappaSwigluBackwardArgs& args);
}  // namespace generic
#ifdef __x86_64__
namespace avx2 {
extern const CpuKernels kernels;
void kappa_swiglu_backward(const KappaSwigluBackwardArgs& args);
}  // namespace avx2
namespace avx512 {
extern const CpuKernels kernels;
void kappa_swiglu_backward(const KappaSwigluBackwardArgs& args);
}  // namespace avx512
#endif

const CpuKernels* const* usable_cpu_kernels() {
  static const CpuKernels* const* const usable = [] {
    static const CpuKernels* found[4] = {};
    int count = 0;
#ifdef __x86_64__
    __builtin_cpu_init();
    const bool avx2_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2_fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
      found[count++] = &avx512::kernels;
    if (avx2_fma) found[count++] = &avx2::kernels;
#endif
    found[count] = &generic::kernels;
    return found;
  }();
  return usable;
}

KappaSwigluBackward kappa_swiglu_backward_of(const CpuKernels& kernels) {
#ifdef __x86_64__
  if (&kernels == &avx512::kernels) { return avx512::kappa_swiglu_backward; }
  if (&kernels == &avx2::kernels) { return avx2::kappa_swiglu_backward; }
#endif
  return generic::kappa_swiglu_backward;
}

}  // namespace kappascope
