#include "core/forward/tensor_bytes.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <atomic>
#include <cmath>
#include <cstring>

#include "kernels/kernels.h"

namespace kappascope {
namespace {

// A value is NaN or Inf when every bit of its exponent is set. Counted by all threads.
std::uint64_t count_saturated(std::span<const std::byte> bytes, std::uint64_t width,
                              std::uint32_t exponent) {
  constexpr std::int64_t kValues = 256 << 10;  // that are worth a thread
  std::atomic<std::int64_t> count = 0;
  at::parallel_for(
      0, std::int64_t(bytes.size() / width), kValues, [&](std::int64_t first, std::int64_t last) {
        count += cpu_kernels().count_saturated(bytes.data() + std::uint64_t(first) * width,
                                               last - first, std::int64_t(width), exponent);
      });
  return std::uint64_t(count.load());
}

// Of numbers that will be narrowed to float32.
std::uint64_t count_over_float32(std::span<const std::byte> bytes) {
  std::uint64_t count = 0;
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(double)) {
    double value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    count += std::isfinite(static_cast<float>(value)) ? 0 : 1;
  }
  return count;
}

}  // namespace

std::uint64_t count_nonfinite(std::span<const std::byte> bytes, DType dtype) {
  switch (dtype) {
    case DType::float32:
      return count_saturated(bytes, 4, 0x7f800000u);
    case DType::bfloat16:
      return count_saturated(bytes, 2, 0x7f80);
    case DType::float16:
      return count_saturated(bytes, 2, 0x7c00);
    case DType::float64:
      return count_over_float32(bytes);
    default:
      return 0;
  }
}

at::ScalarType scalar_type(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return at::kFloat;
    case DType::bfloat16:
      return at::kBFloat16;
    case DType::float16:
      return at::kHalf;
    case DType::int64:
      return at::kLong;
    case DType::int32:
      return at::kInt;
    case DType::uint8:
      return at::kByte;
    case DType::boolean:
      return at::kBool;
    case DType::float64:
      return at::kDouble;
    default:
      break;  // no weight as it is
  }
  fail(ExitCode::internal, {}, "unknown tensor type");
}

at::Tensor read_part(const TensorFile& tensors, const TensorInfo& info, std::int64_t first,
                     const std::vector<std::int64_t>& shape, std::optional<at::ScalarType> wanted) {
  constexpr std::int64_t kPieceValues = 4 << 20;  // converted at once
  const at::ScalarType stored = scalar_type(info.dtype);
  const at::ScalarType type = wanted.value_or(stored == at::kDouble ? at::kFloat : stored);
  const at::Tensor result = at::empty(shape, at::TensorOptions(type));
  const std::int64_t piece = type == stored ? result.numel() : kPieceValues;
  for (std::int64_t done = 0; done < result.numel(); done += piece) {
    const at::Tensor to = result.view({-1}).slice(0, done, done + piece);
    const at::Tensor read = type == stored ? to : at::empty_like(to, stored);
    tensors.read(info, std::uint64_t(first + done) * dtype_bytes(info.dtype),
                 {static_cast<std::byte*>(read.mutable_data_ptr()), read.nbytes()});
    if (type != stored) { to.copy_(read); }
  }
  return result;
}

}  // namespace kappascope
