// The products of all experts over their rows, reference: sums in float64.
#include <vector>

#include "kernels/element.h"
#include "kernels/wgmma_product.h"

namespace kappascope {
namespace {

void multiply_row(const WgmmaProductArgs& args, std::int64_t expert, std::int64_t row) {
  const auto* x = static_cast<const BFloat16*>(args.x) + row * args.in;
  const auto* weight = static_cast<const BFloat16*>(args.weight) + expert * args.in * args.out;
  for (std::int64_t column = 0; column < args.out; ++column) {
    double sum = 0;
    for (std::int64_t k = 0; k < args.in; ++k) {
      sum += double(widen(x[k])) * double(widen(weight[k * args.out + column]));
    }
    narrow(float(sum), static_cast<BFloat16*>(args.y)[row * args.out + column]);
  }
}

}  // namespace

void wgmma_product_ref(const WgmmaProductArgs& args) {
  std::int64_t row = 0;
  for (std::int64_t e = 0; e < args.experts; ++e) {
    for (; row < args.ends[e]; ++row) { multiply_row(args, e, row); }
  }
}

void wgmma_swiglu_ref(const WgmmaProductArgs& up, const GroupedSwigluArgs& swiglu) {
  std::vector<BFloat16> values(static_cast<std::size_t>(up.rows * up.out));
  WgmmaProductArgs product = up;
  product.y = values.data();
  wgmma_product_ref(product);
  GroupedSwigluArgs rest = swiglu;
  rest.up = {values.data(), Element::bfloat16, 0, 0};
  grouped_swiglu_ref(rest);
}

}  // namespace kappascope
