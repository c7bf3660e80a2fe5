// Vectors of floats as wide as the instruction set this file is compiled for, and the functions of
// κ-SwiGLU on them. Only for kernels/cpu/*.cpp, which are compiled once per instruction set: all of
// it is in a namespace of that set, and no template of the standard library is used, because the
// linker would keep one copy of it for machines with and without the set.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <immintrin.h>
#endif

#ifndef KAPPASCOPE_LANES
#if defined(__AVX512F__)
#define KAPPASCOPE_LANES 16
#elif defined(__AVX2__)
#define KAPPASCOPE_LANES 8
#else
#define KAPPASCOPE_LANES 4
#endif
#endif

namespace kappascope::KAPPASCOPE_ISA {

inline constexpr int kLanes = KAPPASCOPE_LANES;
inline constexpr std::int64_t kVector = kLanes;  // in index arithmetic
inline constexpr float kInfinity = __builtin_inff();

typedef float Vec __attribute__((vector_size(4 * KAPPASCOPE_LANES)));
typedef std::int32_t IVec __attribute__((vector_size(4 * KAPPASCOPE_LANES)));
typedef std::uint32_t UVec __attribute__((vector_size(4 * KAPPASCOPE_LANES)));
typedef double DVec __attribute__((vector_size(8 * KAPPASCOPE_LANES)));

#define KAPPASCOPE_INLINE static inline __attribute__((always_inline))

KAPPASCOPE_INLINE Vec splat(float x) {
  return Vec{} + x;
}
KAPPASCOPE_INLINE IVec splat_int(std::int32_t x) {
  return IVec{} + x;
}
KAPPASCOPE_INLINE Vec load(const float* from) {
  Vec x;
  std::memcpy(&x, from, sizeof x);
  return x;
}
KAPPASCOPE_INLINE void store(float* to, Vec x) {
  std::memcpy(to, &x, sizeof x);
}
KAPPASCOPE_INLINE void store(std::int32_t* to, IVec x) {
  std::memcpy(to, &x, sizeof x);
}
// The first `count` lanes, 0 in the others.
KAPPASCOPE_INLINE Vec load_part(const float* from, std::int64_t count) {
  Vec x = {};
  std::memcpy(&x, from, sizeof(float) * static_cast<std::size_t>(count));
  return x;
}
KAPPASCOPE_INLINE void store_part(float* to, Vec x, std::int64_t count) {
  std::memcpy(to, &x, sizeof(float) * static_cast<std::size_t>(count));
}
// bfloat16 bits as floats.
typedef std::uint16_t Half __attribute__((vector_size(2 * KAPPASCOPE_LANES)));
KAPPASCOPE_INLINE float widened(std::uint16_t bits) {
  const std::uint32_t wide = std::uint32_t(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}
KAPPASCOPE_INLINE Vec load(const std::uint16_t* from) {
  Half bits;
  std::memcpy(&bits, from, sizeof bits);
  return reinterpret_cast<Vec>(__builtin_convertvector(bits, UVec) << 16);
}
// Lanes i, i+1, … of an array of `size`, 0 past its end; stride 0: its one value in every lane.
KAPPASCOPE_INLINE Vec load_strided(const float* from, std::int64_t i, std::int64_t size,
                                   std::int64_t stride) {
  if (stride == 0) { return splat(*from); }
  const std::int64_t count = size - i < kVector ? size - i : kVector;
  if (stride == 1) { return count == kVector ? load(from + i) : load_part(from + i, count); }
  Vec x = {};
  for (int lane = 0; lane < count; ++lane) { x[lane] = from[(i + lane) * stride]; }
  return x;
}
// All bits set in the first `count` lanes.
KAPPASCOPE_INLINE IVec first_lanes(std::int64_t count) {
  IVec mask;
  for (int i = 0; i < kLanes; ++i) { mask[i] = i < count ? -1 : 0; }
  return mask;
}

KAPPASCOPE_INLINE IVec bits_of(Vec x) {
  return reinterpret_cast<IVec>(x);
}
KAPPASCOPE_INLINE Vec from_bits(IVec x) {
  return reinterpret_cast<Vec>(x);
}
KAPPASCOPE_INLINE Vec pick(IVec mask, Vec yes, Vec no) {
  return mask ? yes : no;
}
KAPPASCOPE_INLINE Vec absolute(Vec x) {
  return from_bits(bits_of(x) & 0x7fffffff);
}
// A NaN in x stays.
KAPPASCOPE_INLINE Vec at_least(Vec x, Vec low) {
  return pick(x < low, low, x);
}
KAPPASCOPE_INLINE Vec at_most(Vec x, Vec high) {
  return pick(x > high, high, x);
}
KAPPASCOPE_INLINE double sum(DVec x) {
  double total = 0;
  for (int i = 0; i < kLanes; ++i) { total += x[i]; }
  return total;
}
KAPPASCOPE_INLINE std::int64_t count_set(IVec minus_counts) {
  std::int64_t total = 0;
  for (int i = 0; i < kLanes; ++i) { total -= minus_counts[i]; }
  return total;
}
// Bit i is set where lane i of the mask is.
KAPPASCOPE_INLINE std::uint32_t lane_bits(IVec mask) {
#if defined(__AVX512F__) && KAPPASCOPE_LANES == 16
  return _mm512_movepi32_mask(reinterpret_cast<__m512i>(mask));
#elif defined(__AVX2__) && KAPPASCOPE_LANES == 8
  return static_cast<std::uint32_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(mask)));
#elif defined(__SSE2__) && KAPPASCOPE_LANES == 4
  return static_cast<std::uint32_t>(_mm_movemask_ps(reinterpret_cast<__m128>(mask)));
#else
  std::uint32_t bits = 0;
  for (int i = 0; i < kLanes; ++i) { bits |= static_cast<std::uint32_t>(mask[i] & 1) << i; }
  return bits;
#endif
}
KAPPASCOPE_INLINE DVec widen(Vec x) {
  return __builtin_convertvector(x, DVec);
}

// eˣ = 2ⁿ·eʳ, x = n·ln 2 + r, |r| ≤ ln 2 / 2: eʳ, and 2²³·1.5 + n.
KAPPASCOPE_INLINE Vec exp_parts(Vec x, Vec& shifted) {
  const Vec shift = splat(0x1.8p23f);  // leaves an integer in the low bits
  shifted = x * 0x1.715476p+0f + shift;
  const Vec n = shifted - shift;
  const Vec r = (x - n * 0x1.62e400p-1f) - n * 0x1.7f7d1cp-20f;
  Vec p = splat(0x1.6850e4p-10f);
  p = p * r + 0x1.123bccp-7f;
  p = p * r + 0x1.555b98p-5f;
  p = p * r + 0x1.55548ep-3f;
  p = p * r + 0x1.fffff8p-2f;
  return p * (r * r) + r + 1.0f;
}
// For |x| ≤ 87 or NaN; at most 2 ulp wrong.
KAPPASCOPE_INLINE Vec exp_inside(Vec x) {
  Vec shifted;
  const Vec p = exp_parts(x, shifted);
  return p * from_bits((bits_of(shifted) << 23) + 0x3f800000);  // a NaN in p stays
}
// For every x; at most 2 ulp wrong where eˣ is a normal number. The factor 2ⁿ comes in two halves,
// because 2¹²⁸ is no float and e⁸⁸·⁵ is one.
KAPPASCOPE_INLINE Vec exp(Vec x) {
  Vec shifted;
  const Vec p = exp_parts(at_most(at_least(x, splat(-104)), splat(89)), shifted);
  const IVec whole = bits_of(shifted) - bits_of(splat(0x1.8p23f)), half = whole >> 1;
  return p * from_bits((half + 127) << 23) * from_bits((whole - half + 127) << 23);
}

// σ(x) = 1 / (1 + e^−x), at most 2e-7 wrong.
KAPPASCOPE_INLINE Vec sigmoid(Vec x) {
  return 1.0f / (1.0f + exp_inside(-at_most(at_least(x, splat(-87)), splat(87))));
}

// tanh x = sign x · (1 − e^−2|x|) / (1 + e^−2|x|), at most 2e-7 wrong.
KAPPASCOPE_INLINE Vec tanh(Vec x) {
  const Vec e = exp_inside(-2.0f * at_most(absolute(x), splat(20)));
  return from_bits(bits_of((1.0f - e) / (1.0f + e)) | (bits_of(x) & splat_int(INT32_MIN)));
}

// ln x of x ≥ 0 or NaN, at most 2 ulp or 1e-6 wrong; numbers below 2^−126 count as that.
// x = 2ⁿ·(1 + m), √½ ≤ 1 + m < √2, and ln(1 + m) ≈ m·P(m).
KAPPASCOPE_INLINE Vec log(Vec x) {
  const IVec given = bits_of(x), smallest = splat_int(0x00800000);
  const IVec bits = given > smallest ? given : smallest;
  const IVec exponent = (bits - 0x3f3504f3) >> 23;
  const Vec n = __builtin_convertvector(exponent, Vec);
  const Vec m = from_bits(bits - (exponent << 23)) - 1.0f;
  Vec p = splat(0.11827484f);
  p = p * m - 0.18901986f;
  p = p * m + 0.20604675f;
  p = p * m - 0.24881339f;
  p = p * m + 0.333033f;
  p = p * m - 0.50001967f;
  p = p * m + 1.0000032f;
  return x < splat(__builtin_inff()) ? n * 0.69314718f + p * m : x;
}

inline constexpr std::int64_t kBlock = 32 * kVector;  // what is summed in float, then in double
inline constexpr int kCopies =
    4;  // of counters: a bin counted twice in a row does not wait for itself

// Counts how often each bin occurs.
template <int kBins>
struct BinCounter {
  std::int32_t met[kBlock];
  std::uint32_t counts[kCopies][kBins];

  void add(std::int64_t size) {
    std::int64_t i = 0;
    for (; i + kCopies <= size; i += kCopies) {
      for (int copy = 0; copy < kCopies; ++copy) { ++counts[copy][met[i + copy]]; }
    }
    for (; i < size; ++i) { ++counts[0][met[i]]; }
  }
  // Adds the counts of the first `size` bins to `totals` and clears them.
  template <typename Total>
  void move_to(Total* totals, int size) {
    for (int i = 0; i < size; ++i) {
      for (int copy = 0; copy < kCopies; ++copy) { totals[i] += counts[copy][i]; }
    }
    std::memset(counts, 0, sizeof counts);
  }
};

}  // namespace kappascope::KAPPASCOPE_ISA
