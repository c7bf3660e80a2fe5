// Outputs of a few tokens from the sums of the down product, reference.
//
//   output[t] = Σ_k weight[t,k]·(y[place of t,k] + bias)
#include "kernels/few.h"

namespace kappascope {

void few_combine_ref(const FewCombineArgs& args) {
  const std::int32_t share = args.y.share(*args.places.tiles);
  for (std::int64_t t = 0; t < args.tokens; ++t) {
    for (std::int32_t h = 0; h < args.width; ++h) {
      float sum = 0;
      for (std::int64_t cell = t * args.slots; cell < (t + 1) * args.slots; ++cell) {
        const std::int32_t place = args.places.cell_place[cell];
        if (place < 0) { continue; }
        const float bias = args.bias ? args.bias[args.expert[cell] * args.width + h] : 0;
        sum += args.weight[cell] * (few_value(args.y, share, place, 0, h) + bias);
      }
      args.output[t * args.width + h] = sum;
    }
  }
}

}  // namespace kappascope
