// Float bits as unsigned numbers that compare as the floats do.
#pragma once

#include <bit>
#include <cstdint>

namespace kappascope {

// −Inf … Inf ascending, −0 before 0; NaN at the ends.
inline std::uint32_t ordered_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

inline float from_ordered_bits(std::uint32_t key) {
  return std::bit_cast<float>((key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key);
}

}  // namespace kappascope
