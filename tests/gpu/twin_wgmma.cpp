// wgmma_product and wgmma_swiglu against their references, where this build and this device have
// them.
#include <algorithm>
#include <cmath>

#include "kernels/wgmma_product.h"
#include "tests/gpu/twin.h"

namespace kappascope::twin {
namespace {

// Both round to bfloat16, which may fall on the other side; hidden is rounded twice, `up` before it
// is multiplied.
constexpr double kTolerance = 0x1p-7, kTwiceRounded = 2 * kTolerance;

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

bool is_here(DeviceFacts& facts) {
  require_ok(cuda_describe(0, facts), "device");
  return has_wgmma_product() && facts.major == 9;
}

// Three blocks have several tiles each; columns and depth end within a tile, too.
constexpr std::int64_t kSizes[][2] = {{64, 72}, {200, 264}, {136, 328}, {72, 64}, {264, 200}};

// What κ-SwiGLU of a piece reads and writes, on both sides. The piece starts at row 5 of all.
class Swiglu {
 public:
  static constexpr std::int64_t kFirstRow = 5;

  Swiglu(const std::vector<std::int32_t>& expert_ends, std::int64_t in, std::int64_t gates)
      : in_(in),
        gates_(gates),
        experts_(std::int64_t(expert_ends.size())),
        rows_(expert_ends.back()),
        ends_(expert_ends),
        row_cell_(cells_of_rows(kFirstRow + rows_)),
        expert_index_(experts_of_cells(expert_ends)) {}

  void compare(bool kappa, bool scored, int multiprocessors, Check& check) {
    wgmma_swiglu_ref(product(false), swiglu(false, kappa, scored, hidden_));
    require_ok(wgmma_swiglu_cuda(product(true), swiglu(true, kappa, scored, hidden_),
                                 multiprocessors, nullptr),
               "wgmma_swiglu");
    require_ok(cuda_wait_all(), "wgmma_swiglu");
    check.close("hidden", widened(hidden_.fetch()), widened(hidden_.host), kTwiceRounded, 0.25);

    require_ok(wgmma_product_cuda(product(true), multiprocessors, nullptr), "wgmma_product");
    require_ok(grouped_swiglu_cuda(swiglu(true, kappa, scored, apart_), nullptr), "swiglu");
    require_ok(cuda_wait_all(), "swiglu");
    check.equal("hidden of one kernel and of two", bits(hidden_.fetch()), bits(apart_.fetch()));
  }

 private:
  // Each row has a cell of its own: the step is a prime above any number of rows.
  static std::vector<std::int32_t> cells_of_rows(std::int64_t rows) {
    constexpr std::int64_t kStep = 7919;
    std::vector<std::int32_t> cells(static_cast<std::size_t>(rows));
    for (std::int64_t row = 0; row < rows; ++row) {
      cells[std::size_t(row)] = std::int32_t(row * kStep % rows);
    }
    return cells;
  }
  std::vector<std::int32_t> experts_of_cells(const std::vector<std::int32_t>& expert_ends) const {
    std::vector<std::int32_t> experts(std::size_t(kFirstRow + rows_));
    std::int32_t expert = 0;
    for (std::int64_t row = 0; row < rows_; ++row) {
      while (row >= expert_ends[std::size_t(expert)]) { ++expert; }
      experts[std::size_t(row_cell_.host[std::size_t(kFirstRow + row)])] = expert;
    }
    return experts;
  }
  static std::vector<std::uint16_t> bits(const std::vector<BFloat16>& values) {
    std::vector<std::uint16_t> result;
    for (const BFloat16 value : values) { result.push_back(value.bits); }
    return result;
  }

  WgmmaProductArgs product(bool device) {
    WgmmaProductArgs args{experts_, in_, gates_, rows_};
    args.x = device ? x_.device() : x_.host.data();
    args.weight = device ? weight_.device() : weight_.host.data();
    args.y = device ? up_.device() : up_.host.data();
    args.ends = device ? ends_.device() : ends_.host.data();
    return args;
  }
  GroupedSwigluArgs swiglu(bool device, bool kappa, bool scored, Values<BFloat16>& hidden) {
    const auto at = [device](auto& values) {
      return device ? values.device() : values.host.data();
    };
    GroupedSwigluArgs args;
    args.gates = gates_;
    args.expert_index = at(expert_index_);
    args.row_cell = at(row_cell_);
    args.first_row = kFirstRow;
    args.last_row = kFirstRow + rows_;
    args.gate_pre = {at(z_), Element::bfloat16, 0, 0};
    args.up = {at(up_), Element::bfloat16, 0, 0};
    if (scored) { args.score = at(score_); }
    args.score_constant = 0.8f;
    if (kappa) {
      args.kappa.bias = at(bias_);
      args.kappa.scale = at(scale_);
      args.kappa.expert_stride = args.kappa.scale_expert_stride = gates_;
      args.kappa.gate_stride = args.kappa.scale_gate_stride = 1;
      args.kappa.log_bound = 1.1f;
    }
    args.element = Element::bfloat16;
    args.hidden = at(hidden);
    return args;
  }

  const std::int64_t in_, gates_, experts_, rows_;
  Random random_{std::uint64_t(in_ + gates_)};
  Values<std::int32_t> ends_, row_cell_, expert_index_;
  Values<BFloat16> x_{as_elements<BFloat16>(random_.normals(rows_ * in_))};
  Values<BFloat16> weight_{
      as_elements<BFloat16>(random_.normals(experts_ * in_ * gates_, 1 / std::sqrt(float(in_))))};
  Values<BFloat16> z_{as_elements<BFloat16>(random_.normals(rows_ * gates_, 3))};
  Values<float> score_{random_.normals(kFirstRow + rows_)};
  Values<float> bias_{random_.normals(experts_ * gates_)};
  Values<float> scale_{random_.normals(experts_ * gates_)};
  Values<BFloat16> up_{std::size_t(rows_ * gates_)}, hidden_{std::size_t(rows_ * gates_)},
      apart_{std::size_t(rows_ * gates_)};
};

}  // namespace

void compare_wgmma_swiglu(std::int64_t tokens, Check& check) {
  DeviceFacts facts;
  if (!is_here(facts)) { return check.holds("not of this device", true); }
  for (const auto& size : kSizes) {
    Swiglu swiglu(ends_of(tokens), size[0], size[1]);
    check.begin("wgmma_swiglu, " + std::to_string(tokens) + " tokens, " + std::to_string(size[0]) +
                "×" + std::to_string(size[1]));
    swiglu.compare(true, true, 3, check);
    if (&size != kSizes) { continue; }  // what a tile makes of its sums is the same in any size
    swiglu.compare(true, false, facts.multiprocessors, check);
    swiglu.compare(false, true, 3, check);
  }
}

void compare_wgmma_product(std::int64_t tokens, Check& check) {
  DeviceFacts facts;
  if (!is_here(facts)) { return check.holds("not of this device", true); }
  for (const auto& size : kSizes) { compare(size[0], size[1], tokens, 3, check); }
  compare(136, 328, tokens, facts.multiprocessors, check);
  // So deep that the ring of stages goes around more than twice in a tile.
  if (tokens == 1) { compare(840, 848, tokens, 3, check); }
}

}  // namespace kappascope::twin
