// What the tensors of a file are to the products: values as float32 in the order of their role.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "core/model/weights.h"

namespace kappascope {
namespace {

constexpr std::int64_t kBlockOfFour = 32;    // numbers that share a scale (MXFP4)
constexpr std::int64_t kBlockOfEight = 128;  // rows and columns that share one (float8)
constexpr std::int64_t kValuesAtOnce = 1 << 16;
// The sixteen numbers of four bits: sign, two of exponent, one of mantissa.
constexpr std::array<float, 16> kFourBits{0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                          -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

// 2^(byte − 127): the byte is the exponent of a float, but for 0 (2^−127) and 255 (NaN).
float power_of_two(std::uint8_t byte) {
  if (byte == 0xff) { return std::numeric_limits<float>::quiet_NaN(); }
  if (byte == 0) { return std::bit_cast<float>(std::uint32_t{1} << 22); }
  return std::bit_cast<float>(std::uint32_t{byte} << 23);
}

// float8_e4m3: sign, four bits of exponent (bias 7), three of mantissa; all ones: NaN; no infinity.
float from_eight_bits(std::uint8_t byte) {
  const int exponent = byte >> 3 & 15, mantissa = byte & 7;
  if ((byte & 0x7f) == 0x7f) { return std::numeric_limits<float>::quiet_NaN(); }
  const float size = exponent == 0 ? std::ldexp(float(mantissa), -9)
                                   : std::ldexp(float(8 + mantissa), exponent - 10);
  return byte & 0x80 ? -size : size;
}

std::array<float, 256> eight_bits() {
  std::array<float, 256> values{};
  for (int byte = 0; byte < 256; ++byte) { values[byte] = from_eight_bits(std::uint8_t(byte)); }
  return values;
}

// Rows of a weight's matrix as it is stored.
class Rows {
 public:
  // `columns`: of a stored row.
  Rows(const TensorFile& file, const Stored& weight, std::int64_t index, std::int64_t rows,
       std::int64_t columns)
      : file_(file), columns_(columns), scaling_(weight.layout.scaling) {
    const bool apart = !weight.experts.empty();
    tensor_ = apart ? weight.experts[index] : weight.tensor;
    if (scaling_ != ValueScaling::none) { scales_ = weight.scales[apart ? index : 0]; }
    first_ = apart ? 0 : index * rows;
  }

  // [count, columns] from row `row` on.
  void read(std::int64_t row, std::int64_t count, float* to) const {
    if (scaling_ == ValueScaling::mxfp4) { return read_mxfp4(row, count, to); }
    if (scaling_ == ValueScaling::blocks) { return read_blocks(row, count, to); }
    const std::vector<float> values =
        file_.floats(*tensor_, (first_ + row) * columns_, count * columns_);
    std::memcpy(to, values.data(), values.size() * sizeof(float));
  }

 private:
  // `count` bytes of a tensor from `first` on.
  std::vector<std::byte> bytes(const TensorInfo& tensor, std::int64_t first,
                               std::int64_t count) const {
    std::vector<std::byte> result(static_cast<std::size_t>(count));
    file_.read(tensor, std::uint64_t(first), result);
    return result;
  }

  void read_mxfp4(std::int64_t row, std::int64_t count, float* to) const {
    constexpr std::int64_t kPairs = kBlockOfFour / 2;
    const std::int64_t blocks = columns_ / kBlockOfFour, begin = (first_ + row) * blocks;
    const auto pairs = bytes(*tensor_, begin * kPairs, count * blocks * kPairs);
    const auto scales = bytes(*scales_, begin, count * blocks);
    const std::byte* from = pairs.data();
    for (const std::byte scale : scales) {
      const float factor = power_of_two(std::to_integer<std::uint8_t>(scale));
      for (std::int64_t i = 0; i < kPairs; ++i) {
        const auto pair = std::to_integer<std::uint8_t>(*from++);
        *to++ = kFourBits[pair & 15] * factor;
        *to++ = kFourBits[pair >> 4] * factor;
      }
    }
  }

  void read_blocks(std::int64_t row, std::int64_t count, float* to) const {
    static const std::array<float, 256> kValues = eight_bits();
    const std::int64_t wide = (columns_ + kBlockOfEight - 1) / kBlockOfEight;
    const std::int64_t begin = first_ + row, first = begin / kBlockOfEight;
    const std::int64_t last = (begin + count - 1) / kBlockOfEight;
    const auto values = bytes(*tensor_, begin * columns_, count * columns_);
    const auto scales = file_.floats(*scales_, first * wide, (last - first + 1) * wide);
    const std::byte* from = values.data();
    for (std::int64_t r = begin; r < begin + count; ++r) {
      const float* scale = scales.data() + (r / kBlockOfEight - first) * wide;
      for (std::int64_t c = 0; c < columns_; ++c) {
        *to++ = kValues[std::to_integer<std::uint8_t>(*from++)] * scale[c / kBlockOfEight];
      }
    }
  }

  const TensorFile& file_;
  std::int64_t columns_, first_ = 0;
  ValueScaling scaling_;
  const TensorInfo* tensor_ = nullptr;
  const TensorInfo* scales_ = nullptr;
};

// Our part of an axis as it is stored.
struct Axis {
  std::int64_t stored, own, first, step;  // extents; entry i of ours is first + i·step
};

Axis axis_of(AxisPart part, std::int64_t own) {
  switch (part) {
    case AxisPart::whole:
      return {own, own, 0, 1};
    case AxisPart::first_half:
      return {2 * own, own, 0, 1};
    case AxisPart::second_half:
      return {2 * own, own, own, 1};
    case AxisPart::even:
      return {2 * own, own, 0, 2};
    case AxisPart::odd:
      return {2 * own, own, 1, 2};
  }
  fail(ExitCode::internal, {}, "a part of no kind");
}

// Entries [first, first + count) of `outer`, whose stored rows are `block`, to their place in
// [rows, columns].
void put_rows(const float* block, const Axis& outer, const Axis& inner, std::int64_t first,
              std::int64_t count, bool transposed, float* to) {
  if (!transposed) {
    for (std::int64_t r = 0; r < count; ++r) {
      const float* from = block + r * outer.step * inner.stored + inner.first;
      for (std::int64_t i = 0; i < inner.own; ++i) {
        to[(first + r) * inner.own + i] = from[i * inner.step];
      }
    }
    return;
  }
  for (std::int64_t i = 0; i < inner.own; ++i) {
    const float* from = block + inner.first + i * inner.step;
    for (std::int64_t r = 0; r < count; ++r) {
      to[i * outer.own + first + r] = from[r * outer.step * inner.stored];
    }
  }
}

}  // namespace

void read_matrix(const TensorFile& file, const Stored& weight, std::int64_t index, float* to) {
  const std::vector<std::int64_t>& shape = weight.shape;
  const TensorLayout& layout = weight.layout;
  const std::int64_t columns = shape.empty() ? 1 : shape.back();
  const std::int64_t rows = shape.size() < 2 ? 1 : shape[shape.size() - 2];
  const Axis row_axis = axis_of(layout.of_rows ? layout.part : AxisPart::whole, rows);
  const Axis column_axis = axis_of(layout.of_rows ? AxisPart::whole : layout.part, columns);
  const Axis& outer = layout.transposed ? column_axis : row_axis;
  const Axis& inner = layout.transposed ? row_axis : column_axis;
  if (rows == 0 || columns == 0) { return; }
  const Rows source(file, weight, index, outer.stored, inner.stored);
  const std::int64_t at_once =
      std::clamp<std::int64_t>(kValuesAtOnce / (inner.stored * outer.step), 1, outer.own);
  std::vector<float> block(std::size_t(at_once * outer.step * inner.stored));
  for (std::int64_t first = 0; first < outer.own; first += at_once) {
    const std::int64_t count = std::min(at_once, outer.own - first);
    source.read(outer.first + first * outer.step, (count - 1) * outer.step + 1, block.data());
    put_rows(block.data(), outer, inner, first, count, layout.transposed, to);
  }
}

}  // namespace kappascope
