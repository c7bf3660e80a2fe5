// Outputs of the tokens from those of the experts' rows, reference.
//
//   output[t] = Σ_k weight[t,k]·(y[row of t,k] + bias),  output_norm[t,k] = ‖y[row of t,k] + bias‖₂
#include <cmath>

#include "kernels/device_ops.h"

namespace kappascope {
namespace {

float output_value(const CombineArgs& args, std::int64_t cell, std::int64_t row, std::int64_t h) {
  const float bias = args.bias ? args.bias[args.expert_index[cell] * args.width + h] : 0;
  return product_value(args.y, row * args.width + h) + bias;
}

float row_norm(const CombineArgs& args, std::int64_t cell, std::int64_t row) {
  if (row < 0) { return NAN; }
  double sum = 0;
  for (std::int64_t h = 0; h < args.width; ++h) {
    const double value = output_value(args, cell, row, h);
    sum += value * value;
  }
  return float(std::sqrt(sum));
}

}  // namespace

void combine_ref(const CombineArgs& args) {
  for (std::int64_t t = 0; t < args.tokens; ++t) {
    for (std::int64_t h = 0; h < args.width; ++h) {
      float sum = 0;
      for (std::int64_t cell = t * args.slots; cell < (t + 1) * args.slots; ++cell) {
        const std::int64_t row = args.cell_row[cell];
        if (row >= 0) { sum += args.weight[cell] * output_value(args, cell, row, h); }
      }
      args.output[t * args.width + h] = sum;
    }
  }
  for (std::int64_t cell = 0; args.output_norm && cell < args.tokens * args.slots; ++cell) {
    args.output_norm[cell] = row_norm(args, cell, args.cell_row[cell]);
  }
}

}  // namespace kappascope
