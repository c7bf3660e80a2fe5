// y = x·W[e] for a few rows an expert, reference.
//
//   y[part][r] = Σ over the part's share of `in` of x[r,i]·W[e][i]
#include <algorithm>
#include <vector>

#include "kernels/device_ops.h"

namespace kappascope {
namespace {

template <typename T>
void one_row(const FewRowsArgs& args, int matrix, std::int64_t e, std::int64_t row,
             std::int64_t part) {
  const T* x = static_cast<const T*>(args.x) + row * args.in;
  const T* weight = static_cast<const T*>(args.weight[matrix]) + e * args.in * args.out;
  std::vector<double> sum(std::size_t(args.out), 0.0);
  const std::int64_t first = part * few_rows_share(args);
  const std::int64_t last = std::min(args.in, first + few_rows_share(args));
  for (std::int64_t i = first; i < last; ++i) {
    for (std::int64_t o = 0; o < args.out; ++o) {
      sum[o] += double(widen(x[i])) * widen(weight[i * args.out + o]);
    }
  }
  float* y = args.y[matrix] + (part * args.rows + row) * args.out;
  std::copy(sum.begin(), sum.end(), y);
}

}  // namespace

void few_rows_ref(const FewRowsArgs& args) {
  for (int matrix = 0; matrix < args.matrices; ++matrix) {
    for (std::int64_t tile = 0; tile < args.rows && args.tile_expert[tile] >= 0; ++tile) {
      for (std::int32_t r = 0; r < args.tile_rows[tile]; ++r) {
        for (std::int64_t part = 0; part < args.partials; ++part) {
          const std::int64_t e = args.tile_expert[tile], row = args.tile_row[tile] + r;
          if (args.element == Element::float32) {
            one_row<float>(args, matrix, e, row, part);
          } else {
            one_row<BFloat16>(args, matrix, e, row, part);
          }
        }
      }
    }
  }
}

std::int64_t few_rows_partials(const FewRowsArgs& args, int multiprocessors) {
  const std::int64_t columns = args.element == Element::float32 ? 32 : 64;
  const std::int64_t blocks = (args.out + columns - 1) / columns * args.matrices * args.rows;
  const std::int64_t wanted = (2 * multiprocessors + blocks - 1) / blocks;
  const std::int64_t most = std::max<std::int64_t>(1, args.in / kShareUnit);
  return std::clamp<std::int64_t>(wanted, 1, most);
}

}  // namespace kappascope
