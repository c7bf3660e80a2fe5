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

KAPPASCOPE_INLINE Vec take(const float* from, std::int64_t left) {
  return left < kVector ? load_part(from, left) : load(from);
}
KAPPASCOPE_INLINE void put(float* to, Vec x, std::int64_t left) {
  left < kVector ? store_part(to, x, left) : store(to, x);
}
KAPPASCOPE_INLINE void add(float* to, Vec x) {
  store(to, load(to) + x);
}

// Row r; returns the derivative by its score. Past the last gate unit all is 0.
template <KappaForm kForm>
double row_backward(const KappaSwigluBackwardArgs& args, const KappaView& view, std::int64_t r,
                    const GateSums& sums) {
  const std::int64_t gates = args.gates, row = r * gates;
  const Vec score = splat(args.score ? args.score[r] : 0), one = splat(1);
  const Vec log_bound = splat(view.log_bound), factor = splat(view.factor_value());
  DVec score_sum = {};
  for (std::int64_t i = 0; i < gates; i += kVector) {
    const std::int64_t left = gates - i, at = row + i;
    const Vec z = take(args.gate_pre + at, left), up = take(args.up + at, left);
    const Vec grad = take(args.grad_hidden + at, left), grad_act = grad * up;
    Vec kappa = factor, position = {}, b = {}, a = {};
    if constexpr (kForm != KappaForm::fixed) {
      const KappaSource source{view, score[0], args.gate_pre + row};
      position = tanh(argument_at<kForm>(source, i, gates));
      kappa = factor * exp(log_bound * position);
      b = load_strided(view.bias, i, gates, view.gate_stride);
      if (view.scale) { a = load_strided(view.scale, i, gates, view.scale_gate_stride); }
    }
    const Vec x = kappa * z, s = sigmoid(x), slope = s * (one - s);
    Vec grad_z = grad_act * (s + x * slope);
    if constexpr (kForm != KappaForm::fixed) {
      const Vec grad_u =
          grad_act * z * x * slope * log_bound * ((one - position) * (one + position));
      if constexpr (kForm == KappaForm::constant_input) {
        add(sums.bias + i, grad_u * score);
        score_sum += widen(grad_u * b);
      } else {
        constexpr bool kFromGate = kForm == KappaForm::from_gate;
        add(sums.bias + i, grad_u);
        add(sums.scale + i, grad_u * (kFromGate ? z : score));
        score_sum += widen(kFromGate ? grad_u : grad_u * a);
        if (kFromGate) { grad_z += grad_u * a; }
      }
    }
    put(args.grad_up + at, grad * z * s, left);
    put(args.grad_gate_pre + at, grad_z, left);
  }
  return sum(score_sum);
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

double row_backward(const KappaSwigluBackwardArgs& args, KappaForm form, const KappaView& view,
                    std::int64_t r, const GateSums& sums) {
  if (args.identity_gate) { return row_of_identity(args, r), 0; }
  switch (form) {
    case KappaForm::fixed:
      return row_backward<KappaForm::fixed>(args, view, r, sums);
    case KappaForm::constant_input:
      return row_backward<KappaForm::constant_input>(args, view, r, sums);
    case KappaForm::scaled:
      return row_backward<KappaForm::scaled>(args, view, r, sums);
    case KappaForm::from_gate:
      return row_backward<KappaForm::from_gate>(args, view, r, sums);
  }
  __builtin_unreachable();
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
  const Scratch scratch(2 * padded);
  GateSums sums{scratch.data, scratch.data + padded};
  for (std::int64_t i = 0; i < 2 * padded; ++i) { scratch.data[i] = 0; }
  const KappaView& given = args.kappa;
  const KappaForm form = form_of(given);
  const KappaView view = with_bias(given);
  for (std::int64_t first = 0; first < args.rows; first += kRowsAtOnce) {
    const std::int64_t end = first + kRowsAtOnce < args.rows ? first + kRowsAtOnce : args.rows;
    for (std::int64_t r = first; r < end; ++r) {
      const double score = row_backward(args, form, view, r, sums);
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
