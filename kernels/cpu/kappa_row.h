// κ of the gate units of one row of one expert, and what is recorded of it, for kernels/cpu/*.cpp.
#pragma once

#include <cmath>

#include "kernels/cpu/select.h"
#include "kernels/cpu/vector.h"
#include "kernels/kernels.h"

namespace kappascope::KAPPASCOPE_ISA {

// What the argument u of tanh is made of (KappaView).
enum class KappaForm { fixed, constant_input, scaled, from_gate };

static inline KappaForm form_of(const KappaView& view) {
  if (view.fixed()) { return KappaForm::fixed; }
  if (!view.scale) { return KappaForm::constant_input; }
  return view.from_gate ? KappaForm::from_gate : KappaForm::scaled;
}

// κ of one expert, of which u is to be computed; b is always there.
static inline KappaView with_bias(KappaView view) {
  static const float kNoBias = 0;
  if (view.bias) { return view; }
  view.bias = &kNoBias;
  view.gate_stride = 0;
  return view;
}

// κ in one row.
struct KappaSource {
  const KappaView& view;  // with_bias
  float score;
  const float* gate_pre;  // [I] z, read with from_gate alone
};

struct KappaRow {
  std::int64_t gates;
  // [I up to whole vectors] each; undefined past I
  float* position;  // ln κ / ln U; 0 where κ = 1
  float* kappa;
  float* chosen;                     // scratch
  std::uint32_t counts[kKappaBins];  // of ln κ / ln U over [−1,1], without NaN
  KappaStatistics statistics;        // all NaN when a κ is NaN
  BinCounter<kKappaBins + 2> bins;   // 1 and NaN have their own
};

// u of the gate units i, i+1, …; not of a fixed κ.
template <KappaForm kForm>
KAPPASCOPE_INLINE Vec argument_at(const KappaSource& source, std::int64_t i, std::int64_t gates) {
  const KappaView& view = source.view;
  const Vec b = load_strided(view.bias, i, gates, view.gate_stride);
  if constexpr (kForm == KappaForm::constant_input) {
    return source.score * b;
  } else {
    const Vec a = load_strided(view.scale, i, gates, view.scale_gate_stride);
    if constexpr (kForm == KappaForm::scaled) { return a * source.score + b; }
    return a * load_strided(source.gate_pre, i, gates, 1) + (b + source.score);
  }
}

template <KappaForm kForm, bool kInside>
KAPPASCOPE_INLINE void put_kappa(const KappaSource& source, std::int64_t i, KappaRow& row) {
  const Vec t = tanh(argument_at<kForm>(source, i, row.gates));
  const Vec exponent = source.view.log_bound * t;
  store(row.position + i, t);
  store(row.kappa + i, kInside ? exp_inside(exponent) : exp(exponent));
}

template <KappaForm kForm, bool kInside>
void put_kappas(const KappaSource& source, KappaRow& row) {
  if (kForm != KappaForm::from_gate && source.view.uniform()) {
    put_kappa<kForm, kInside>(source, 0, row);
    for (std::int64_t i = kVector; i < row.gates; i += kVector) {
      store(row.position + i, load(row.position));
      store(row.kappa + i, load(row.kappa));
    }
    return;
  }
  for (std::int64_t i = 0; i < row.gates; i += kVector) {
    put_kappa<kForm, kInside>(source, i, row);
  }
}

template <KappaForm kForm>
void put_kappas(const KappaSource& source, KappaRow& row) {
  const bool inside = source.view.log_bound >= -87 && source.view.log_bound <= 87;
  inside ? put_kappas<kForm, true>(source, row) : put_kappas<kForm, false>(source, row);
}

// κ := factor · κ, after the bound.
static inline void multiply_kappa(const KappaView& view, KappaRow& row) {
  const float factor = *view.factor;
  const float shift = factor == 1 ? 0 : std::log(factor) / view.log_bound;
  for (std::int64_t i = 0; i < row.gates; i += kVector) {
    const Vec moved = load(row.position + i) + shift;
    store(row.position + i, at_most(at_least(moved, splat(-1)), splat(1)));
    store(row.kappa + i, factor * load(row.kappa + i));
  }
}

static inline void fill_kappa(KappaForm form, const KappaSource& source, KappaRow& row) {
  switch (form) {
    case KappaForm::fixed:
      for (std::int64_t i = 0; i < row.gates; i += kVector) {
        store(row.position + i, splat(0));
        store(row.kappa + i, splat(1));
      }
      break;
    case KappaForm::constant_input:
      put_kappas<KappaForm::constant_input>(source, row);
      break;
    case KappaForm::scaled:
      put_kappas<KappaForm::scaled>(source, row);
      break;
    case KappaForm::from_gate:
      put_kappas<KappaForm::from_gate>(source, row);
      break;
  }
  if (source.view.factor) { multiply_kappa(source.view, row); }
}

// 32·p + 32, whose whole part is the bin of position p: 0 to kKappaBins, the last one for p = 1.
KAPPASCOPE_INLINE Vec kappa_bin(Vec position) {
  return position * 32.0f + 32.0f;
}

struct KappaBounds {
  double sum;
  float minimum, maximum;
};
static inline KappaBounds count_kappa(KappaRow& row) {
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
          __builtin_convertvector(kappa_bin(load(row.position + first + i)), IVec));
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
    const Vec bin = kappa_bin(load(row.position + i));
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
  const KappaBounds bounds = count_kappa(row);
  row.statistics = {NAN, NAN, NAN, NAN, NAN};
  if (!with_statistics || bounds.sum != bounds.sum) { return; }
  const bool rises = log_bound >= 0;
  row.statistics = {static_cast<float>(bounds.sum / static_cast<double>(row.gates)), bounds.minimum,
                    bounds.maximum, kappa_quantile(row, rises, 0.05),
                    kappa_quantile(row, rises, 0.95)};
}

}  // namespace kappascope::KAPPASCOPE_ISA
