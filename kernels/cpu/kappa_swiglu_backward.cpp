// The derivatives of κ-SwiGLU over the rows of one expert, a vector of gate units at a time; the
// formulas are those of kappa_gradient.h. Sums over rows are float within kRowsAtOnce of them.
#include "kernels/cpu/kappa_row.h"
#include "kernels/cpu/scratch.h"
#include "kernels/training_ops.h"

namespace kappascope::KAPPASCOPE_ISA {
namespace {

constexpr std::int64_t kRowsAtOnce = 64;

// What is summed over rows, for each gate unit.
struct GateSums {
  float *bias, *scale;                     // [I up to whole vectors]
  double bias_total = 0, scale_total = 0;  // where one value serves all gate units
};

// b and α of each gate unit, whatever their strides.
struct GateParameters {
  const float *bias, *scale;  // [I up to whole vectors]
};

KAPPASCOPE_INLINE Vec take(const float* from, std::int64_t left) {
  return left < kVector ? load_part(from, left) : load(from);
}
KAPPASCOPE_INLINE void put(float* to, Vec x, std::int64_t left) {
  left < kVector ? store_part(to, x, left) : store(to, x);
}
KAPPASCOPE_INLINE void add(float* to, Vec x) {
  store(to, load(to) + x);
}

template <KappaForm kForm>
KAPPASCOPE_INLINE Vec argument(Vec z, Vec score, Vec b, Vec a) {
  if constexpr (kForm == KappaForm::constant_input) { return score * b; }
  if constexpr (kForm == KappaForm::scaled) { return a * score + b; }
  return a * z + (b + score);
}

// Gate units i, i+1, … of row r: all of a vector, or with kPart those that are left. Past the last
// one all is 0. Returns the terms of the derivative by the score.
template <KappaForm kForm, bool kInside, bool kPart>
KAPPASCOPE_INLINE Vec gates_backward(const KappaSwigluBackwardArgs& args, std::int64_t r,
                                     std::int64_t i, const GateParameters& of,
                                     const GateSums& sums) {
  const std::int64_t left = kPart ? args.gates - i : kVector, at = r * args.gates + i;
  const Vec z = take(args.gate_pre + at, left), up = take(args.up + at, left);
  const Vec grad = take(args.grad_hidden + at, left), grad_act = grad * up, one = splat(1);
  const Vec score = splat(args.score ? args.score[r] : 0);
  Vec kappa = splat(args.kappa.factor_value()), b = {}, a = {}, flatness = {};
  if constexpr (kForm != KappaForm::fixed) {
    b = load(of.bias + i), a = load(of.scale + i);
    const Vec position =
        args.position ? take(args.position + at, left) : tanh(argument<kForm>(z, score, b, a));
    const Vec exponent = args.kappa.log_bound * position;
    kappa *= kInside ? exp_inside(exponent) : exp(exponent);
    flatness = args.kappa.log_bound * ((one - position) * (one + position));
  }
  const Vec x = kappa * z, s = sigmoid(x), curve = x * (s * (one - s));
  Vec grad_z = grad_act * (s + curve), of_score = {};
  if constexpr (kForm != KappaForm::fixed) {
    const Vec grad_u = grad_act * z * curve * flatness;
    constexpr bool kConstant = kForm == KappaForm::constant_input;
    constexpr bool kFromGate = kForm == KappaForm::from_gate;
    add(sums.bias + i, kConstant ? grad_u * score : grad_u);
    if (!kConstant) { add(sums.scale + i, grad_u * (kFromGate ? z : score)); }
    if (kFromGate) { grad_z += grad_u * a; }
    of_score = kConstant ? grad_u * b : kFromGate ? grad_u : grad_u * a;
  }
  put(args.grad_up + at, grad * z * s, left);
  put(args.grad_gate_pre + at, grad_z, left);
  return of_score;
}

// Row r; returns the derivative by its score.
template <KappaForm kForm, bool kInside>
double row_backward(const KappaSwigluBackwardArgs& args, std::int64_t r, const GateParameters& of,
                    const GateSums& sums) {
  const std::int64_t whole = args.gates / kVector * kVector;
  DVec total = {};
  for (std::int64_t first = 0; first < whole; first += kBlock) {
    const std::int64_t end = first + kBlock < whole ? first + kBlock : whole;
    Vec part = {};
    for (std::int64_t i = first; i < end; i += kVector) {
      part += gates_backward<kForm, kInside, false>(args, r, i, of, sums);
    }
    total += widen(part);
  }
  if (whole < args.gates) {
    total += widen(gates_backward<kForm, kInside, true>(args, r, whole, of, sums));
  }
  return sum(total);
}

template <KappaForm kForm>
double row_backward(const KappaSwigluBackwardArgs& args, std::int64_t r, const GateParameters& of,
                    const GateSums& sums) {
  const bool inside = args.kappa.log_bound >= -87 && args.kappa.log_bound <= 87;
  return inside ? row_backward<kForm, true>(args, r, of, sums)
                : row_backward<kForm, false>(args, r, of, sums);
}

// hidden = z ∘ up.
void row_of_identity(const KappaSwigluBackwardArgs& args, std::int64_t r) {
  for (std::int64_t i = 0; i < args.gates; i += kVector) {
    const std::int64_t left = args.gates - i, at = r * args.gates + i;
    const Vec grad = take(args.grad_hidden + at, left);
    const Vec z = take(args.gate_pre + at, left), up = take(args.up + at, left);
    put(args.grad_up + at, grad * z, left);
    put(args.grad_gate_pre + at, grad * up, left);
  }
}

double row_backward(const KappaSwigluBackwardArgs& args, KappaForm form, std::int64_t r,
                    const GateParameters& of, const GateSums& sums) {
  if (args.identity_gate) { return row_of_identity(args, r), 0; }
  switch (form) {
    case KappaForm::fixed:
      return row_backward<KappaForm::fixed>(args, r, of, sums);
    case KappaForm::constant_input:
      return row_backward<KappaForm::constant_input>(args, r, of, sums);
    case KappaForm::scaled:
      return row_backward<KappaForm::scaled>(args, r, of, sums);
    case KappaForm::from_gate:
      return row_backward<KappaForm::from_gate>(args, r, of, sums);
  }
  __builtin_unreachable();
}

// values[i · stride] for each gate unit, 0 past the last one; nullptr: all 0.
void spread(const float* values, std::int64_t stride, std::int64_t gates, std::int64_t padded,
            float* to) {
  for (std::int64_t i = 0; i < padded; ++i) {
    to[i] = values && i < gates ? values[i * stride] : 0;
  }
}

// Adds the sums of some rows to the result, and clears them.
void move_sums(float* sums, std::int64_t gates, std::int64_t stride, float* to, double& total) {
  for (std::int64_t i = 0; i < gates; ++i) {
    if (stride == 0) {
      total += sums[i];
    } else if (to) {
      to[i * stride] += sums[i];
    }
    sums[i] = 0;
  }
}

}  // namespace

void kappa_swiglu_backward(const KappaSwigluBackwardArgs& args) {
  const std::int64_t padded = (args.gates + kVector - 1) / kVector * kVector;
  const Scratch scratch(4 * padded);
  GateSums sums{scratch.data, scratch.data + padded};
  for (std::int64_t i = 0; i < 2 * padded; ++i) { scratch.data[i] = 0; }
  const KappaView& given = args.kappa;
  const KappaForm form = form_of(given);
  float *const bias = scratch.data + 2 * padded, *const scale = scratch.data + 3 * padded;
  spread(given.bias, given.gate_stride, args.gates, padded, bias);
  spread(given.scale, given.scale_gate_stride, args.gates, padded, scale);
  for (std::int64_t first = 0; first < args.rows; first += kRowsAtOnce) {
    const std::int64_t end = first + kRowsAtOnce < args.rows ? first + kRowsAtOnce : args.rows;
    for (std::int64_t r = first; r < end; ++r) {
      const double score = row_backward(args, form, r, {bias, scale}, sums);
      if (args.grad_score) { args.grad_score[r] = static_cast<float>(score); }
    }
    move_sums(sums.bias, args.gates, given.gate_stride, args.grad_bias, sums.bias_total);
    move_sums(sums.scale, args.gates, given.scale_gate_stride, args.grad_scale, sums.scale_total);
  }
  if (args.grad_bias && given.gate_stride == 0) {
    *args.grad_bias += static_cast<float>(sums.bias_total);
  }
  if (args.grad_scale && given.scale_gate_stride == 0) {
    *args.grad_scale += static_cast<float>(sums.scale_total);
  }
}

}  // namespace kappascope::KAPPASCOPE_ISA
