// NaN and Inf among weights, counted as fast as memory is read.
#include "kernels/cpu/vector.h"
#include "kernels/kernels.h"

namespace kappascope::KAPPASCOPE_ISA {
namespace {

// Lanes as wide as the values: each counts up to the most that it can hold before they are added.
template <typename Value, typename Values>
std::int64_t count(const unsigned char* from, std::int64_t size, Value exponent) {
  constexpr std::int64_t kValues = sizeof(Values) / sizeof(Value), kMost = 0x7fff;  // turns
  std::int64_t found = 0, i = 0;
  while (size - i >= kValues) {
    const std::int64_t turns = (size - i) / kValues;
    Values here = {};
    for (std::int64_t left = turns < kMost ? turns : kMost; left > 0; --left, i += kValues) {
      Values values;
      std::memcpy(&values, from + i * static_cast<std::int64_t>(sizeof(Value)), sizeof values);
      here -= reinterpret_cast<Values>((values & exponent) == exponent);  // −1 where it is
    }
    for (std::int64_t lane = 0; lane < kValues; ++lane) { found += here[lane]; }
  }
  for (; i < size; ++i) {
    Value value;
    std::memcpy(&value, from + i * static_cast<std::int64_t>(sizeof(Value)), sizeof value);
    found += (value & exponent) == exponent ? 1 : 0;
  }
  return found;
}

typedef std::uint16_t Halves __attribute__((vector_size(4 * KAPPASCOPE_LANES)));

}  // namespace

std::int64_t count_saturated(const void* values, std::int64_t size, std::int64_t width,
                             std::uint32_t exponent) {
  const auto* from = static_cast<const unsigned char*>(values);
  if (width == 2) {
    return count<std::uint16_t, Halves>(from, size, static_cast<std::uint16_t>(exponent));
  }
  return count<std::uint32_t, UVec>(from, size, exponent);
}

}  // namespace kappascope::KAPPASCOPE_ISA
