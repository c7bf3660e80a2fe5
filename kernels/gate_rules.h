// What a family does to z and up of a gate unit before κ-SwiGLU, for the CPU and the GPU:
//
//   z ← min(z + b, limit),  up ← min(max(up + b', −limit), limit) + offset
#pragma once

#include <cstdint>
#include <limits>

#include "kernels/kappa_math.h"

namespace kappascope {

struct GateRules {
  const float* gate_bias = nullptr;  // [E,I] b; nullptr: 0
  const float* up_bias = nullptr;    // [E,I] b'; nullptr: 0
  float limit = std::numeric_limits<float>::infinity();
  float up_offset = 0;

  bool limited() const { return limit < std::numeric_limits<float>::infinity(); }
  bool any() const { return gate_bias || up_bias || limited() || up_offset != 0; }
};

// NaN stays NaN.
KAPPASCOPE_INLINED float limited_gate(float z, float limit) {
  return z > limit ? limit : z;
}
KAPPASCOPE_INLINED float limited_up(float up, float limit) {
  return up > limit ? limit : up < -limit ? -limit : up;
}

// z and up of one gate unit after the rules, from its biases; 1 where z is at the limit.
KAPPASCOPE_INLINED int apply_rules(const GateRules& rules, float gate_bias, float up_bias, float& z,
                                   float& up) {
  z += gate_bias;
  const int at_limit = z >= rules.limit ? 1 : 0;
  z = limited_gate(z, rules.limit);
  up = limited_up(up + up_bias, rules.limit) + rules.up_offset;
  return at_limit;
}

// The same of a row of expert e, [I] each; how many z are at the limit.
inline std::int64_t apply_rules(const GateRules& rules, std::int64_t e, std::int64_t gates,
                                float* z, float* up) {
  const auto add = [&](const float* bias, float* to) {
    if (!bias) { return; }
    for (std::int64_t i = 0; i < gates; ++i) { to[i] += bias[e * gates + i]; }
  };
  add(rules.gate_bias, z);
  add(rules.up_bias, up);
  std::int64_t at_limit = 0;
  for (std::int64_t i = 0; rules.limited() && i < gates; ++i) {
    at_limit += z[i] >= rules.limit;
    z[i] = limited_gate(z[i], rules.limit);
    up[i] = limited_up(up[i], rules.limit);
  }
  for (std::int64_t i = 0; rules.up_offset != 0 && i < gates; ++i) { up[i] += rules.up_offset; }
  return at_limit;
}

}  // namespace kappascope
