// ‖x‖₂, summed in float64.
#include <cmath>

#include "kernels/cpu/vector.h"

namespace kappascope::KAPPASCOPE_ISA {

float norm(const float* x, std::int64_t size) {
  DVec total = {};
  for (std::int64_t i = 0; i < size; i += kVector) {
    const std::int64_t left = size - i;
    const DVec wide = widen(left < kVector ? load_part(x + i, left) : load(x + i));
    total += wide * wide;
  }
  return static_cast<float>(std::sqrt(sum(total)));
}

}  // namespace kappascope::KAPPASCOPE_ISA
