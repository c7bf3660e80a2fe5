// The κ effect of each expert, reference: the sums of its rows.
#include "kernels/device_ops.h"

namespace kappascope {

void sum_effects_ref(const EffectArgs& args) {
  for (std::int64_t e = 0; e < args.experts; ++e) {
    EffectSums total;
    for (std::int32_t row = args.row_start[e]; row < args.row_start[e + 1]; ++row) {
      add_effects(total, args.row_effect[row]);
    }
    args.effect[e] = total;
  }
}

}  // namespace kappascope
