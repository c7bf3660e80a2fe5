// The derivatives of κ-SwiGLU, one scalar at a time, in float or double, for the CPU and the GPU.
//
//   κ = factor · exp(ln U · tanh u),  a = z·σ(κz),  hidden = a · up
//
// With g the derivative of the loss by hidden, x = κz and σ' = σ(x)(1 − σ(x)):
//
//   d up = g·a                 dz = g·up·(σ(x) + x·σ') + du·∂u/∂z
//   du   = g·up·z²·σ'·κ·ln U·(1 − tanh² u)
//
// σ' and 1 − tanh² are taken from e^−|x| and e^−2|u|: small ones keep their digits.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/kernels.h"

namespace kappascope {

// What u is made of (KappaView): nothing, s·b, α·s + b, or α·z + b + s.
enum class KappaArgument : std::uint8_t { fixed, constant_input, scaled, from_gate };

KAPPASCOPE_HOST_DEVICE inline KappaArgument argument_of(const KappaView& view) {
  if (view.fixed()) { return KappaArgument::fixed; }
  if (!view.scale) { return KappaArgument::constant_input; }
  return view.from_gate ? KappaArgument::from_gate : KappaArgument::scaled;
}

// One gate unit in one row.
template <typename Real>
struct KappaGate {
  KappaArgument form = KappaArgument::fixed;
  Real z = 0, up = 0;
  Real score = 0, bias = 0, scale = 0;  // s, b, α
  Real log_bound = 0, factor = 1;       // ln U

  KAPPASCOPE_HOST_DEVICE Real argument() const {
    switch (form) {
      case KappaArgument::constant_input:
        return score * bias;
      case KappaArgument::scaled:
        return scale * score + bias;
      case KappaArgument::from_gate:
        return scale * z + (bias + score);
      case KappaArgument::fixed:
        break;
    }
    return 0;
  }
  Real kappa() const {
    const bool fixed = form == KappaArgument::fixed;
    return fixed ? factor : factor * std::exp(log_bound * std::tanh(argument()));
  }
  Real sigmoid() const { return 1 / (1 + std::exp(-kappa() * z)); }
  Real hidden() const { return z * sigmoid() * up; }
};

template <typename Real>
struct KappaGateGradient {
  Real z = 0, up = 0, score = 0, bias = 0, scale = 0;
};

// e^x and 1/x as exact as Real is.
struct ExactMath {
  template <typename Real>
  KAPPASCOPE_HOST_DEVICE static Real exp(Real x) {
    return std::exp(x);
  }
  template <typename Real>
  KAPPASCOPE_HOST_DEVICE static Real reciprocal(Real x) {
    return 1 / x;
  }
};

// f(x) = 1 / (1 + e^−x) and f'(x) = e^−|x| / (1 + e^−|x|)².
template <typename Real>
struct Sigmoid {
  Real value, slope;
};
template <typename Math, typename Real>
KAPPASCOPE_HOST_DEVICE Sigmoid<Real> sigmoid_of(Real x) {
  const Real e = Math::exp(x < 0 ? x : -x), inverse = Math::reciprocal(1 + e);
  const Real below = e * inverse;
  return {x < 0 ? below : inverse, below * inverse};
}

// `grad_hidden`: the derivative of the loss by gate.hidden().
template <typename Math = ExactMath, typename Real>
KAPPASCOPE_HOST_DEVICE KappaGateGradient<Real> kappa_gradient(const KappaGate<Real>& gate,
                                                              Real grad_hidden) {
  const bool fixed = gate.form == KappaArgument::fixed;
  Real kappa = gate.factor, flatness = 0;  // 1 − tanh² u
  if (!fixed) {
    // tanh u = 2f(2u) − 1
    const Sigmoid<Real> of_u = sigmoid_of<Math>(2 * gate.argument());
    kappa *= Math::exp(gate.log_bound * (2 * of_u.value - 1));
    flatness = 4 * of_u.slope;
  }
  const Real x = kappa * gate.z;
  const Sigmoid<Real> of_x = sigmoid_of<Math>(x);
  const Real grad_act = grad_hidden * gate.up;
  KappaGateGradient<Real> result;
  result.up = grad_hidden * gate.z * of_x.value;
  result.z = grad_act * (of_x.value + x * of_x.slope);
  if (fixed) { return result; }
  // In this order no product is larger than its result and the factors of the loss.
  const Real grad_argument = grad_act * (gate.z * of_x.slope * x) * (gate.log_bound * flatness);
  if (gate.form == KappaArgument::constant_input) {
    result.bias = grad_argument * gate.score;
    result.score = grad_argument * gate.bias;
    return result;
  }
  const bool from_gate = gate.form == KappaArgument::from_gate;
  result.bias = grad_argument;
  result.scale = grad_argument * (from_gate ? gate.z : gate.score);
  result.score = from_gate ? grad_argument : grad_argument * gate.scale;
  if (from_gate) { result.z += grad_argument * gate.scale; }
  return result;
}

}  // namespace kappascope
