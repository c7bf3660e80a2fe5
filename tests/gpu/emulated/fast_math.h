// The exponentials, logarithms and reciprocals that kernels take from the device, with its errors
// as documented: ex2.approx 2 ulp, rcp.approx 1 ulp, lg2.approx 2^-22 (absolute between 0.5 and 2,
// else relative), expf 2 ulp, logf 1 ulp. EMULATED_MATH_ERROR says how many times these; 0, or
// unset: none.
//
// Sign and size of an error follow from the argument's bits, so that every run has the same: one
// argument in two has the whole bound, up or down, and the others some of it.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace emulated {

inline double math_error() {
  static const char* given = std::getenv("EMULATED_MATH_ERROR");
  static const double times = given ? std::atof(given) : 0;
  return times;
}

// In [-1,1]; `salt` tells the functions apart.
inline double error_at(float x, std::uint32_t salt) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  bits = (bits ^ salt) * 2654435761u;
  bits = (bits ^ bits >> 15) * 2246822519u;
  bits ^= bits >> 13;
  const double part = bits & 2 ? 1 : double(bits >> 8) * 0x1p-24;
  return bits & 1 ? part : -part;
}

// `exact` with an error of at most `ulp` units in the last place.
inline float with_ulp_error(double exact, double ulp, float x, std::uint32_t salt) {
  const double times = math_error();
  if (times == 0 || exact == 0 || !std::isfinite(exact)) { return float(exact); }
  const double unit = std::ldexp(1.0, std::ilogb(exact) - 23);
  return float(exact + times * ulp * unit * error_at(x, salt));
}

// Numbers too small for a normal float, as .ftz has them.
inline float flushed(float x) {
  return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x;
}

inline float exp2_approx(float x) {
  return flushed(with_ulp_error(std::exp2(double(flushed(x))), 2, x, 1));
}
inline float reciprocal_approx(float x) {
  return flushed(with_ulp_error(1 / double(flushed(x)), 1, x, 2));
}
inline float log2_approx(float x) {
  const double exact = std::log2(double(flushed(x))), times = math_error();
  if (times == 0 || !std::isfinite(exact)) { return float(exact); }
  const double size = x > 0.5f && x < 2 ? 1 : std::fabs(exact);
  return float(exact + times * 0x1p-22 * size * error_at(x, 3));
}

}  // namespace emulated

namespace kappascope {

// The device's library under the names that kernels call: found before those of the C library.
inline float expf(float x) {
  return emulated::with_ulp_error(std::exp(double(x)), 2, x, 4);
}
inline float logf(float x) {
  return emulated::with_ulp_error(std::log(double(x)), 1, x, 5);
}

}  // namespace kappascope
