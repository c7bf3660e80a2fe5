// y = x·W[e] for the tiles of a few tokens, reference: the sums of every block's part of a strip.
#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/few.h"

namespace kappascope {
namespace {

// x of the row at a place: [in].
std::vector<float> row_of(const FewProductArgs& args, std::int32_t tile, std::int32_t r) {
  const std::int32_t place = tile * kTileRows + r, cell = args.places.place_cell[place];
  std::vector<float> x(std::size_t(args.in));
  if (args.x) {
    std::copy_n(args.x + cell / args.slots * args.in, args.in, x.begin());
  } else {
    std::vector<float> z(x.size()), up(x.size());
    const std::int32_t share = args.gate_up.share(*args.places.tiles);
    for (std::int32_t i = 0; i < args.in; ++i) {
      z[i] = few_value(args.gate_up, share, place, 0, i);
      up[i] = few_value(args.gate_up, share, place, 1, i);
    }
    const std::int32_t expert = args.places.tile_expert[tile];
    apply_rules(args.rules, expert, args.in, z.data(), up.data());
    const float score = args.score ? args.score[cell] : args.score_constant;
    KappaSwigluArgs swiglu;
    swiglu.rows = 1;
    swiglu.gates = args.in;
    swiglu.gate_pre = z.data();
    swiglu.up = up.data();
    swiglu.score = &score;
    swiglu.kappa = args.kappa.at_expert(expert);
    swiglu.identity_gate = args.identity_gate;
    swiglu.hidden = x.data();
    kappa_swiglu_ref(swiglu);
  }
  if (args.element == Element::float32) { return x; }
  for (float& value : x) {
    BFloat16 element;
    narrow(value, element);
    value = widen(element);
  }
  return x;
}

// Σ over the rows [first, last) of W of x[i]·W[i,column].
template <typename T>
float sum_of(const FewProductArgs& args, const std::vector<float>& x, const T* weight,
             std::int64_t column, std::int64_t first, std::int64_t last) {
  double sum = 0;
  for (std::int64_t i = first; i < std::min(last, args.in); ++i) {
    sum += double(x[i]) * widen(weight[i * args.out + column]);
  }
  return float(sum);
}

template <typename T>
void multiply_row(const FewProductArgs& args, std::int32_t tile, std::int32_t r) {
  const FewSums& y = args.y;
  const std::vector<float> x = row_of(args, tile, r);
  const std::int32_t share = y.share(*args.places.tiles);
  const std::int64_t before = args.places.tile_expert[tile] * args.in * args.out;
  for (std::int32_t matrix = 0; matrix < y.matrices; ++matrix) {
    const T* weight = static_cast<const T*>(args.weight[matrix]) + before;
    for (std::int32_t column = 0; column < args.out; ++column) {
      const std::int32_t strip = y.strip(tile, matrix, column), from = strip * y.units;
      for (std::int32_t block = y.first_block(strip, share); block <= y.last_block(strip, share);
           ++block) {
        const std::int64_t first = std::max(block * share, from) - from;
        const std::int64_t last = std::min((block + 1) * share, from + y.units) - from;
        y.segment(block, strip)[r * y.columns + column % y.columns] =
            sum_of(args, x, weight, column, first * kFewUnit, last * kFewUnit);
      }
    }
  }
}

}  // namespace

void few_product_ref(const FewProductArgs& args) {
  for (std::int32_t tile = 0; tile < *args.places.tiles; ++tile) {
    for (std::int32_t r = 0; r < args.places.tile_rows[tile]; ++r) {
      if (args.element == Element::float32) {
        multiply_row<float>(args, tile, r);
      } else {
        multiply_row<BFloat16>(args, tile, r);
      }
    }
  }
}

FewSums few_sums(std::int64_t matrices, std::int64_t in, std::int64_t out, Element element,
                 int multiprocessors) {
  constexpr std::int64_t kPackBytes = 16;
  const std::int64_t width = kPackBytes / element_bytes(element);
  const std::int64_t columns = kFewLanes * (out % width == 0 ? width : 1);
  FewSums y;
  y.matrices = std::int32_t(matrices);
  y.strips = std::int32_t((out + columns - 1) / columns);
  y.units = std::int32_t((in + kFewUnit - 1) / kFewUnit);
  y.columns = std::int32_t(columns);
  y.blocks = 2 * multiprocessors;  // all of them at once
  return y;
}

}  // namespace kappascope
