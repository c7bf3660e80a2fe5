#include "core/checkpoint/tensor.h"

#include <sha2.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

namespace kappascope {
namespace {

struct DTypeRow {
  std::string_view name;
  std::size_t bytes;
};

const DTypeRow& row(DType dtype) {
  static constexpr std::array<DTypeRow, 7> rows = {{{"float32", 4},
                                                    {"bfloat16", 2},
                                                    {"float16", 2},
                                                    {"int64", 8},
                                                    {"int32", 4},
                                                    {"uint8", 1},
                                                    {"bool", 1}}};
  return rows.at(static_cast<std::size_t>(dtype));
}

float from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
float from_float16(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t exponent = bits >> 10 & 0x1FU;
  const std::uint32_t fraction = bits & 0x3FFU;
  if (exponent == 0) {  // zero or subnormal: fraction · 2⁻²⁴, exact in float32
    const float value = std::ldexp(static_cast<float>(fraction), -24);
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent - 15 + 127;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

std::uint16_t load16(const std::byte* from) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, from, sizeof bits);
  return bits;
}

std::string hex_digest(SHA2_CTX& context) {
  std::array<char, SHA256_DIGEST_STRING_LENGTH> text{};
  return SHA256End(&context, text.data());
}

void update(SHA2_CTX& context, std::string_view text) {
  SHA256Update(&context, reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

}  // namespace

std::size_t dtype_bytes(DType dtype) {
  return row(dtype).bytes;
}

std::string_view dtype_name(DType dtype) {
  return row(dtype).name;
}

std::int64_t TensorInfo::elements() const {
  return static_cast<std::int64_t>(bytes / dtype_bytes(dtype));
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

TensorFile::TensorFile(InputFile file, std::vector<TensorInfo> tensors)
    : file_(std::move(file)), tensors_(std::move(tensors)) {
  std::sort(tensors_.begin(), tensors_.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  Faults faults(file_.path());
  for (std::size_t i = 1; i < tensors_.size(); ++i) {
    const bool is_first_twin = tensors_[i].name == tensors_[i - 1].name &&
                               (i == 1 || tensors_[i].name != tensors_[i - 2].name);
    if (is_first_twin) faults.add(ExitCode::damaged, tensors_[i].name, "occurs more than once");
  }
  faults.throw_if_any();
}

const TensorInfo* TensorFile::find(std::string_view name) const {
  const auto found = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const TensorInfo& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

std::span<const std::byte> TensorFile::data(const TensorInfo& tensor) const {
  return file_.map(tensor.offset, tensor.bytes, "tensor data");
}

std::vector<float> TensorFile::floats(const TensorInfo& tensor, std::int64_t first,
                                      std::int64_t count) const {
  const Place place{file_.path(), tensor.name, -1};
  require(tensor.dtype == DType::float32 || tensor.dtype == DType::bfloat16 ||
              tensor.dtype == DType::float16,
          ExitCode::damaged, place, "expected a floating-point dtype, found ",
          dtype_name(tensor.dtype));
  require(
      first >= 0 && count >= 0 && first <= tensor.elements() && count <= tensor.elements() - first,
      ExitCode::internal, place, "elements outside the tensor were asked for");
  const std::size_t width = dtype_bytes(tensor.dtype);
  std::vector<float> values(static_cast<std::size_t>(count));
  if (values.empty()) return values;
  const std::byte* from = data(tensor).data() + static_cast<std::size_t>(first) * width;
  if (tensor.dtype == DType::float32) {
    std::memcpy(values.data(), from, values.size() * sizeof(float));
    return values;
  }
  const auto widen = tensor.dtype == DType::bfloat16 ? from_bfloat16 : from_float16;
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = widen(load16(from + i * width));
  return values;
}

std::vector<float> TensorFile::floats(const TensorInfo& tensor) const {
  return floats(tensor, 0, tensor.elements());
}

std::string TensorFile::directory_sha256() const {
  SHA2_CTX context;
  SHA256Init(&context);
  for (const TensorInfo& tensor : tensors_) {
    update(context, join_words(tensor.name, " ", dtype_name(tensor.dtype), " ",
                               shape_text(tensor.shape), " ", tensor.offset, "\n"));
  }
  return hex_digest(context);
}

std::string sha256_hex(std::string_view text) {
  SHA2_CTX context;
  SHA256Init(&context);
  update(context, text);
  return hex_digest(context);
}

}  // namespace kappascope
