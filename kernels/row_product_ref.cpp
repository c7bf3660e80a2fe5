// y[r,:] = x[row r,:] · W, reference.
#include <algorithm>

#include "kernels/element.h"
#include "kernels/kernels.h"

namespace kappascope {

void row_product_ref(const RowProductArgs& args) {
  for (std::int64_t r = 0; r < args.rows; ++r) {
    const float* x = args.x + (args.row_index ? args.row_index[r] : r) * args.x_stride;
    float* y = args.y + r * args.y_stride;
    std::fill_n(y, args.out, 0.0f);
    for (std::int64_t k = 0; k < args.in; ++k) {
      for (std::int64_t c = 0; c < args.out; ++c) {
        const std::int64_t at = k * args.weight_stride + c;
        y[c] += x[k] * (args.weight_bits ? widen(BFloat16{args.weight_bits[at]}) : args.weight[at]);
      }
    }
  }
}

}  // namespace kappascope
