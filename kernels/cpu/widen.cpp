// Matrices of bfloat16 as most files have them, [out,in], widened into the order in which they are
// multiplied.
//
//   to[i,c] = from[c,i]
//
// Squares of kLanes by kLanes are turned in registers, in log₂ kLanes steps: step S exchanges the
// S·S blocks beside the diagonal of each 2S·2S block.
#include "kernels/cpu/vector.h"
#include "kernels/kernels.h"

namespace kappascope::KAPPASCOPE_ISA {
namespace {

template <int... J>
struct Lanes {};
template <int N, int... J>
struct LanesFrom : LanesFrom<N - 1, N - 1, J...> {};
template <int... J>
struct LanesFrom<0, J...> {
  using Type = Lanes<J...>;
};

template <int S, int... J>
KAPPASCOPE_INLINE void exchange(Vec& a, Vec& b, Lanes<J...>) {
  const Vec first = __builtin_shufflevector(a, b, ((J & S) == 0 ? J : kLanes + J - S)...);
  b = __builtin_shufflevector(a, b, ((J & S) == 0 ? J + S : kLanes + J)...);
  a = first;
}

template <int S>
KAPPASCOPE_INLINE void turn(Vec (&rows)[kLanes]) {
  if constexpr (S < kLanes) {
    for (int r = 0; r < kLanes; ++r) {
      if ((r & S) == 0) { exchange<S>(rows[r], rows[r | S], LanesFrom<kLanes>::Type()); }
    }
    turn<2 * S>(rows);
  }
}

}  // namespace

void widen_turned(const std::uint16_t* from, std::int64_t stride, std::int64_t in,
                  std::int64_t count, float* to) {
  const std::int64_t whole_in = in / kVector * kVector, whole = count / kVector * kVector;
  for (std::int64_t i = 0; i < whole_in; i += kVector) {
    for (std::int64_t c = 0; c < whole; c += kVector) {
      Vec rows[kLanes];
      for (int r = 0; r < kLanes; ++r) { rows[r] = load(from + (c + r) * stride + i); }
      turn<1>(rows);
      for (int r = 0; r < kLanes; ++r) { store(to + (i + r) * count + c, rows[r]); }
    }
  }
  for (std::int64_t i = 0; i < in; ++i) {
    for (std::int64_t c = i < whole_in ? whole : 0; c < count; ++c) {
      to[i * count + c] = widened(from[c * stride + i]);
    }
  }
}

}  // namespace kappascope::KAPPASCOPE_ISA
