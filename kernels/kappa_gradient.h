// The derivatives of κ-SwiGLU, one scalar at a time, in float or double.
//
//   κ = factor · exp(ln U · tanh u),  a = z·σ(κz),  hidden = a · up
//
// With g the derivative of the loss by hidden, x = κz and σ' = σ(x)(1 − σ(x)):
//
//   d up = g·a                 dz = g·up·(σ(x) + x·σ') + du·∂u/∂z
//   du   = g·up·z²·σ'·κ·ln U·(1 − tanh² u)
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/kernels.h"

namespace kappascope {

// What u is made of (KappaView): nothing, s·b, α·s + b, or α·z + b + s.
enum class KappaArgument : std::uint8_t { fixed, constant_input, scaled, from_gate };

inline KappaArgument argument_of(const KappaView& view) {
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

  Real argument() const {
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

// `grad_hidden`: the derivative of the loss by gate.hidden().
template <typename Real>
KappaGateGradient<Real> kappa_gradient(const KappaGate<Real>& gate, Real grad_hidden) {
  const Real kappa = gate.kappa(), sigmoid = gate.sigmoid(), slope = sigmoid * (1 - sigmoid);
  const Real grad_act = grad_hidden * gate.up;
  KappaGateGradient<Real> result;
  result.up = grad_hidden * gate.z * sigmoid;
  result.z = grad_act * (sigmoid + kappa * gate.z * slope);
  if (gate.form == KappaArgument::fixed) { return result; }
  const Real position = std::tanh(gate.argument());
  const Real grad_argument =
      grad_act * gate.z * gate.z * slope * kappa * gate.log_bound * (1 - position) * (1 + position);
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
