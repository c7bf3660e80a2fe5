// ‖x‖₂, reference.
#include <cmath>

#include "kernels/kernels.h"

namespace kappascope {

float norm_ref(const float* x, std::int64_t size) {
  double sum = 0;
  for (std::int64_t i = 0; i < size; ++i) { sum += double(x[i]) * x[i]; }
  return float(std::sqrt(sum));
}

}  // namespace kappascope
