// What the κ-SwiGLU kernels load of a row of gate units, and κ made of it. For .cu files only.
#pragma once

#include "kernels/cuda_launch.h"
#include "kernels/gate_math.h"

namespace kappascope {

// Gate units that a thread takes at once, 16 bytes of z, where rows are whole packs.
template <typename T>
inline constexpr int kGatePack = 16 / int(sizeof(T));

// What a kernel has code for: what is rare costs registers and instructions where it does nothing.
enum class KappaCase {
  fixed,     // κ = 1
  per_gate,  // α and b of each gate unit, as training knows it
  any,       // also a bilinear gate, and κ, z and a written out
  ruled      // also GateRules
};
template <KappaCase Case>
inline constexpr bool kAnyKappa = Case == KappaCase::any || Case == KappaCase::ruled;
inline KappaCase kappa_case(const GroupedSwigluArgs& args) {
  const KappaView& kappa = args.kappa;
  if (args.rules.any()) { return KappaCase::ruled; }
  if (args.identity_gate || args.kappa_out) { return KappaCase::any; }
  if (kappa.from_gate || kappa.factor) { return KappaCase::any; }
  if (kappa.fixed()) { return KappaCase::fixed; }
  const bool packed = kappa.gate_stride == 1 && kappa.scale_gate_stride == 1;
  return kappa.bias && kappa.scale && packed ? KappaCase::per_gate : KappaCase::any;
}

// A row of the experts.
struct GateRow {
  std::int64_t cell, at;  // `at`: its first element in the piece
  std::int64_t expert;
  float score;
  // Of the expert; what else κ is made of stays in the arguments, which take no registers.
  const float *bias, *scale, *factor;
};

// The cell of row number `row`.
inline __device__ std::int64_t cell_of(const GroupedSwigluArgs& args, std::int64_t row) {
  return args.row_cell ? args.row_cell[row] : row;
}

// Row number `row`, which is within the piece.
inline __device__ GateRow gate_row(const GroupedSwigluArgs& args, std::int64_t row) {
  const std::int64_t cell = cell_of(args, row);
  const std::int64_t e = args.expert_index ? args.expert_index[cell] : 0;
  const KappaView kappa = args.kappa.at_expert(e);
  return {cell,        (row - args.first_row) * args.gates,
          e,           args.score ? args.score[cell] : args.score_constant,
          kappa.bias,  kappa.scale,
          kappa.factor};
}

// One past the last row of the piece.
inline __device__ std::int64_t last_row_of(const GroupedSwigluArgs& args) {
  const std::int64_t all = args.all_rows ? *args.all_rows : args.last_row;
  return all < args.last_row ? all : args.last_row;
}

// b or α of the gates i to i + Width; 0 where there is none.
template <int Width, bool Packed>
__device__ void load_parameter(const float* from, std::int64_t stride, std::int64_t i,
                               float (&to)[Width]) {
  if constexpr (Packed) {
    load_values<Width>(from + i, to);
  } else {
    for (int w = 0; w < Width; ++w) { to[w] = from ? from[(i + w) * stride] : 0; }
  }
}

// Applies the rules to the gates i to i + Width of a row, which are within it; returns how many z
// are at the limit.
template <int Width>
__device__ int apply_rules_of(const GroupedSwigluArgs& args, const GateRow& row, std::int64_t i,
                              float (&z)[Width], float (&up)[Width]) {
  float gate_bias[Width] = {}, up_bias[Width] = {};
  const std::int64_t at = row.expert * args.gates + i;
  if (args.rules.gate_bias) { load_values<Width>(args.rules.gate_bias + at, gate_bias); }
  if (args.rules.up_bias) { load_values<Width>(args.rules.up_bias + at, up_bias); }
  int at_limit = 0;
#pragma unroll
  for (int w = 0; w < Width; ++w) {
    at_limit += apply_rules(args.rules, gate_bias[w], up_bias[w], z[w], up[w]);
  }
  return at_limit;
}

// u of a gate unit (0 where κ is fixed) and tanh u, its κ, and ln κ / ln U.
struct GateKappa {
  float u = 0, tanh_u = 0, kappa = 1, position = 0;
};

// What κ of a pack is made of, loaded before anything is computed.
template <int Width, KappaCase Case>
struct KappaLoads {
  float bias[Width] = {}, scale[Width] = {};
  __device__ KappaLoads(const KappaView& view, const GateRow& row, std::int64_t i) {
    if constexpr (Case != KappaCase::fixed) {
      constexpr bool kPacked = Case == KappaCase::per_gate;
      load_parameter<Width, kPacked>(row.bias, view.gate_stride, i, bias);
      load_parameter<Width, kPacked>(row.scale, view.scale_gate_stride, i, scale);
    }
  }
};

// κ of one unit of a row from its b, α and z.
template <KappaCase Case>
__device__ GateKappa gate_kappa(const KappaView& view, const GateRow& row, float bias, float scale,
                                float z) {
  GateKappa of;
  if constexpr (Case == KappaCase::fixed) { return of; }
  const bool any = kAnyKappa<Case>;
  if (any && view.fixed()) {
    // κ = 1, u = 0
  } else {
    of.u = any && !view.scale ? row.score * bias : scale * row.score + bias;
    if (any && view.from_gate) { of.u = scale * z + (bias + row.score); }
    of.position = of.tanh_u = fast_tanh(of.u);
    of.kappa = fast_exp2(view.log_bound * kLog2E * of.position);
  }
  if (any && view.factor) {
    of.kappa *= *row.factor;
    of.position = kappa_position(view.log_bound, *row.factor, of.position);
  }
  return of;
}

}  // namespace kappascope
