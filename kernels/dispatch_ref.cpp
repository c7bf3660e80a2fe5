// Rows of the experts from those of the tokens, reference.
//
//   rows[r] = x[token of r]
#include "kernels/device_ops.h"

namespace kappascope {
namespace {

template <typename T>
void copy_row(const float* from, std::int64_t width, T* to) {
  for (std::int64_t h = 0; h < width; ++h) { narrow(from[h], to[h]); }
}

}  // namespace

void dispatch_ref(const DispatchArgs& args) {
  for (std::int64_t cell = 0; cell < args.tokens * args.slots; ++cell) {
    const std::int64_t row = args.cell_row[cell];
    if (row < args.first_row || row >= args.last_row) { continue; }
    const float* from = args.x + cell / args.slots * args.width;
    const std::int64_t at = (row - args.first_row) * args.width;
    if (args.element == Element::float32) {
      copy_row(from, args.width, static_cast<float*>(args.rows) + at);
    } else {
      copy_row(from, args.width, static_cast<BFloat16*>(args.rows) + at);
    }
  }
}

}  // namespace kappascope
