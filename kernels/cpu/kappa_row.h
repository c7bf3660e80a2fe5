// κ of one expert's gate units at one score, and what is told of it, for kernels/cpu/*.cpp.
#pragma once

#include <limits>

#include "kernels/cpu/select.h"
#include "kernels/cpu/vector.h"
#include "kernels/kernels.h"

namespace kappascope::KAPPASCOPE_ISA {

struct KappaRow {
  std::int64_t gates;
  // [I up to whole vectors] each; past I no sense
  float* tanh_u;  // tanh(α·s + b) = ln κ / ln U; 0 where κ = 1
  float* kappa;
  float* chosen;                     // scratch
  std::uint32_t counts[kKappaBins];  // of ln κ / ln U over [−1,1], without NaN
  KappaStatistics statistics;        // all NaN when a κ is NaN
  BinCounter<kKappaBins + 2> bins;   // 1 and NaN have their own
};

// Gate units i, i+1, …: κ = exp(ln U · tanh(α·s + b)), or of s·b where there is no α.
template <bool kScale, bool kInside>
KAPPASCOPE_INLINE void put_kappa(const KappaView& view, float s, std::int64_t i, KappaRow& row) {
  const Vec b = load_strided(view.bias, i, row.gates, view.gate_stride);
  Vec t;
  if constexpr (kScale) {
    t = tanh(load_strided(view.scale, i, row.gates, view.gate_stride) * s + b);
  } else {
    t = tanh(s * b);
  }
  store(row.tanh_u + i, t);
  store(row.kappa + i, kInside ? exp_inside(view.log_bound * t) : exp(view.log_bound * t));
}

template <bool kScale, bool kInside>
void put_kappas(const KappaView& view, float s, KappaRow& row) {
  if (view.gate_stride == 0) {  // one value for all gates
    put_kappa<kScale, kInside>(view, s, 0, row);
    for (std::int64_t i = kVector; i < row.gates; i += kVector) {
      store(row.tanh_u + i, load(row.tanh_u));
      store(row.kappa + i, load(row.kappa));
    }
    return;
  }
  for (std::int64_t i = 0; i < row.gates; i += kVector) {
    put_kappa<kScale, kInside>(view, s, i, row);
  }
}

static inline void fill_kappa(const KappaView& view, float s, KappaRow& row) {
  const bool inside = view.log_bound >= -87 && view.log_bound <= 87;
  if (!view.bias) {
    for (std::int64_t i = 0; i < row.gates; i += kVector) {
      store(row.tanh_u + i, splat(0));
      store(row.kappa + i, splat(1));
    }
  } else if (view.scale) {
    inside ? put_kappas<true, true>(view, s, row) : put_kappas<true, false>(view, s, row);
  } else {
    inside ? put_kappas<false, true>(view, s, row) : put_kappas<false, false>(view, s, row);
  }
}

// 32·t + 32, whose whole part is the bin of t: 0 to kKappaBins, the last one for t = 1.
KAPPASCOPE_INLINE Vec kappa_bin(Vec t) {
  return t * 32.0f + 32.0f;
}

struct KappaBounds {
  double sum;
  float minimum, maximum;
};
static inline KappaBounds count_kappa(KappaRow& row) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  DVec total = {};
  Vec lowest = splat(kInfinity), highest = splat(-kInfinity);
  for (std::int64_t first = 0; first < row.gates; first += kBlock) {
    const std::int64_t left = row.gates - first, size = left < kBlock ? left : kBlock;
    Vec part = {};
    for (std::int64_t i = 0; i < size; i += kVector) {
      const IVec lanes = size - i < kVector ? first_lanes(size - i) : ~IVec{};
      const Vec kappa = load(row.kappa + first + i);
      part += from_bits(bits_of(kappa) & lanes);
      lowest = ((kappa < lowest) & lanes) ? kappa : lowest;
      highest = ((kappa > highest) & lanes) ? kappa : highest;
      const UVec bin = reinterpret_cast<UVec>(
          __builtin_convertvector(kappa_bin(load(row.tanh_u + first + i)), IVec));
      const UVec most = UVec{} + (kKappaBins + 1);
      store(row.bins.met + i, reinterpret_cast<IVec>(bin < most ? bin : most));
    }
    total += widen(part);
    row.bins.add(size);
  }
  std::uint32_t counts[kKappaBins + 1] = {};
  row.bins.move_to(counts, kKappaBins + 1);
  counts[kKappaBins - 1] += counts[kKappaBins];  // the last bin is closed on both sides
  std::memcpy(row.counts, counts, sizeof row.counts);
  KappaBounds result{sum(total), lowest[0], highest[0]};
  for (int lane = 1; lane < kLanes; ++lane) {
    if (lowest[lane] < result.minimum) { result.minimum = lowest[lane]; }
    if (highest[lane] > result.maximum) { result.maximum = highest[lane]; }
  }
  return result;
}

// NumPy's default: between the order statistics around q·(n − 1). κ rises with the bins, or falls
// where U < 1; only the bins that hold the two neighbours are looked at.
static inline float kappa_quantile(const KappaRow& row, bool rises, double q) {
  const double position = q * static_cast<double>(row.gates - 1);
  const auto below = static_cast<std::int64_t>(position);
  const std::int64_t above = below + 1 < row.gates ? below + 1 : below;
  std::int64_t before = 0, through = 0;  // values in the bins passed, and with this one
  int first = -1, last = 0;
  for (int at = 0; through <= above; ++at) {
    last = rises ? at : kKappaBins - 1 - at;
    through += row.counts[last];
    if (through <= below) { before = through; }
    if (through > below && first < 0) { first = last; }
  }
  const int low_bin = first < last ? first : last, high_bin = first < last ? last : first;
  const Vec low = splat(static_cast<float>(low_bin));
  const Vec high =
      splat(static_cast<float>(high_bin == kKappaBins - 1 ? kKappaBins + 1 : high_bin + 1));
  std::int64_t found = 0;
  for (std::int64_t i = 0; i < row.gates; i += kVector) {
    const Vec bin = kappa_bin(load(row.tanh_u + i));
    IVec inside = (bin >= low) & (bin < high);
    if (row.gates - i < kVector) { inside &= first_lanes(row.gates - i); }
    for (std::uint32_t bits = lane_bits(inside); bits != 0; bits &= bits - 1) {
      row.chosen[found++] = row.kappa[i + __builtin_ctz(bits)];
    }
  }
  select_kth(row.chosen, found, below - before);
  const double lower = row.chosen[below - before];
  float upper = row.chosen[above - before];
  for (std::int64_t i = above - before; i < found; ++i) {
    if (row.chosen[i] < upper) { upper = row.chosen[i]; }
  }
  return static_cast<float>(lower + (upper - lower) * (position - static_cast<double>(below)));
}

// Sets `counts` and, when asked for, `statistics`.
static inline void describe_kappa(KappaRow& row, float log_bound, bool with_statistics) {
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  const KappaBounds bounds = count_kappa(row);
  row.statistics = {kNone, kNone, kNone, kNone, kNone};
  if (!with_statistics || bounds.sum != bounds.sum) { return; }
  const bool rises = log_bound >= 0;
  row.statistics = {static_cast<float>(bounds.sum / static_cast<double>(row.gates)), bounds.minimum,
                    bounds.maximum, kappa_quantile(row, rises, 0.05),
                    kappa_quantile(row, rises, 0.95)};
}

}  // namespace kappascope::KAPPASCOPE_ISA
