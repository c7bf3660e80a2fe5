// wgmma_product against its reference, where this build and this device have it.
#include <algorithm>
#include <cmath>

#include "kernels/wgmma_product.h"
#include "tests/gpu/twin.h"

namespace kappascope::twin {
namespace {

// Both round to bfloat16, which may fall on the other side.
constexpr double kTolerance = 0x1p-7;

// Rows of each expert: none, one, and what ends within a tile, at its end and after it.
std::vector<std::int32_t> ends_of(std::int64_t tokens) {
  std::vector<std::int32_t> ends;
  std::int64_t rows = 0;
  for (const std::int64_t size : {std::int64_t(0), std::int64_t(1), tokens, std::int64_t(0),
                                  2 * tokens + 19, std::int64_t(144), std::int64_t(3)}) {
    rows += size;
    ends.push_back(std::int32_t(rows));
  }
  ends.push_back(std::int32_t(rows));
  return ends;
}

void compare(std::int64_t in, std::int64_t out, std::int64_t tokens, int multiprocessors,
             Check& check) {
  const std::vector<std::int32_t> expert_ends = ends_of(tokens);
  const std::int64_t experts = std::int64_t(expert_ends.size());
  const std::int64_t rows = expert_ends.back() + 2;  // two that no expert has
  Random random(std::uint64_t(tokens + out));
  Values<BFloat16> x(as_elements<BFloat16>(random.normals(rows * in)));
  Values<BFloat16> weight(
      as_elements<BFloat16>(random.normals(experts * in * out, 1 / std::sqrt(float(in)))));
  Values<std::int32_t> ends(expert_ends);
  Values<BFloat16> y(std::size_t(rows * out));
  WgmmaProductArgs args{experts, in, out, rows};
  args.x = x.host.data();
  args.weight = weight.host.data();
  args.y = y.host.data();
  args.ends = ends.host.data();
  wgmma_product_ref(args);
  args.x = x.device();
  args.weight = weight.device();
  args.y = y.device();
  args.ends = ends.device();
  require_ok(wgmma_product_cuda(args, multiprocessors, nullptr), "wgmma_product");
  require_ok(cuda_wait_all(), "wgmma_product");
  check.begin("wgmma_product, " + std::to_string(tokens) + " tokens, " + std::to_string(in) + "×" +
              std::to_string(out));
  check.close("y", widened(y.fetch()), widened(y.host), kTolerance, 0.25);
}

}  // namespace

void compare_wgmma_product(std::int64_t tokens, Check& check) {
  DeviceFacts facts;
  require_ok(cuda_describe(0, facts), "device");
  if (!has_wgmma_product() || facts.major != 9) { return check.holds("not of this device", true); }
  // Three blocks have several tiles each; columns and depth end within a tile, too.
  constexpr std::int64_t kSizes[][2] = {{64, 72}, {200, 264}, {136, 328}, {72, 64}, {264, 200}};
  for (const auto& size : kSizes) { compare(size[0], size[1], tokens, 3, check); }
  compare(136, 328, tokens, facts.multiprocessors, check);
  // So deep that the ring of stages goes around more than twice in a tile.
  if (tokens == 1) { compare(840, 848, tokens, 3, check); }
}

}  // namespace kappascope::twin
