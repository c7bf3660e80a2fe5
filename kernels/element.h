// The element types of the matrices that products read and write, for the CPU and the GPU.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/kappa_math.h"

namespace kappascope {

enum class Element : std::uint8_t { float32, bfloat16 };

constexpr std::int64_t element_bytes(Element element) {
  return element == Element::float32 ? 4 : 2;
}

// The upper half of a float32.
struct BFloat16 {
  std::uint16_t bits;
};

KAPPASCOPE_HOST_DEVICE inline float widen(float value) {
  return value;
}
KAPPASCOPE_HOST_DEVICE inline float widen(BFloat16 value) {
  const std::uint32_t bits = std::uint32_t(value.bits) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof wide);
  return wide;
}

// Rounds to nearest, ties to even; NaN stays NaN.
KAPPASCOPE_HOST_DEVICE inline void narrow(float value, float& out) {
  out = value;
}
KAPPASCOPE_HOST_DEVICE inline void narrow(float value, BFloat16& out) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  out.bits = nan ? std::uint16_t(0x7fc0) : std::uint16_t((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

}  // namespace kappascope
