// hidden of the gate units of a few tokens, from the sums of gate and up (few.h). For .cu files
// only.
#pragma once

#include "kernels/cuda_launch.h"
#include "kernels/few.h"
#include "kernels/gate_math.h"

namespace kappascope {

// Where x comes from. What is rare is a case of its own, so that it costs the others no registers.
enum class Input {
  tokens,  // of the tokens
  gated,   // κ-SwiGLU of the product before
  ruled    // likewise, with GateRules
};

// What hidden of one gate unit at a place is made of, on its way from memory: the first two sums of
// z and of up, and the rest of them as its number.
struct HiddenLoads {
  const float *z = nullptr, *up = nullptr;  // of the first block that sums it
  int blocks = 0, size = 0;
  float first_z = 0, first_up = 0, second_z = 0, second_up = 0, bias = 0, scale = 0, score = 0;
  float factor = 1;
  float gate_bias = 0, up_bias = 0;  // of GateRules
};

template <Input From>
__device__ void load_hidden(const FewProductArgs& args, int share, int place, int expert, int cell,
                            int i, HiddenLoads& loads) {
  const FewSums& sums = args.gate_up;
  const int z_strip = sums.strip(place / kTileRows, 0, i), up_strip = z_strip + sums.strips;
  const int at = place % kTileRows * sums.columns + i % sums.columns;
  const int z_block = sums.first_block(z_strip, share),
            up_block = sums.first_block(up_strip, share);
  const int z_blocks = sums.last_block(z_strip, share) - z_block;
  const int up_blocks = sums.last_block(up_strip, share) - up_block;
  loads.size = kTileRows * sums.columns;
  loads.z = sums.segment(z_block, z_strip) + at;
  loads.up = sums.segment(up_block, up_strip) + at;
  loads.blocks = z_blocks | up_blocks << 16;
  loads.first_z = loads.z[0];
  loads.first_up = loads.up[0];
  if (z_blocks > 0) { loads.second_z = loads.z[loads.size]; }
  if (up_blocks > 0) { loads.second_up = loads.up[loads.size]; }
  const KappaView kappa = args.kappa.at_expert(expert);
  if (kappa.bias) { loads.bias = kappa.bias[i * kappa.gate_stride]; }
  if (kappa.scale) { loads.scale = kappa.scale[i * kappa.scale_gate_stride]; }
  if (kappa.factor) { loads.factor = *kappa.factor; }
  loads.score = args.score ? args.score[cell] : args.score_constant;
  if constexpr (From == Input::ruled) {
    const std::int64_t of_all = std::int64_t(expert) * args.in + i;
    if (args.rules.gate_bias) { loads.gate_bias = args.rules.gate_bias[of_all]; }
    if (args.rules.up_bias) { loads.up_bias = args.rules.up_bias[of_all]; }
  }
}

// Σ of the sums of z and of up in their order, as few_value has it; those of both are on their way
// together.
inline __device__ void add_sums(const HiddenLoads& of, float& z, float& up) {
  const int z_blocks = of.blocks & 0xffff, up_blocks = of.blocks >> 16;
  z = of.first_z;
  up = of.first_up;
  if (z_blocks > 0) { z += of.second_z; }
  if (up_blocks > 0) { up += of.second_up; }
  for (int block = 2; block <= z_blocks || block <= up_blocks; ++block) {
    const std::int64_t at = std::int64_t(block) * of.size;
    const float more_z = block <= z_blocks ? of.z[at] : 0;
    const float more_up = block <= up_blocks ? of.up[at] : 0;
    if (block <= z_blocks) { z += more_z; }
    if (block <= up_blocks) { up += more_up; }
  }
}

// hidden, as grouped_swiglu has it.
template <Input From>
__device__ float swiglu_value(const FewProductArgs& args, const HiddenLoads& of) {
  const KappaView& kappa = args.kappa;
  float z = 0, up = 0;
  add_sums(of, z, up);
  if constexpr (From == Input::ruled) { apply_rules(args.rules, of.gate_bias, of.up_bias, z, up); }
  if (args.identity_gate) { return z * up; }
  float value = 1;
  if (!kappa.fixed()) {
    float u = kappa.scale ? of.scale * of.score + of.bias : of.score * of.bias;
    if (kappa.from_gate) { u = of.scale * z + (of.bias + of.score); }
    value = fast_exp2(kLog2E * kappa.log_bound * fast_tanh(u));
  }
  if (kappa.factor) { value *= of.factor; }
  return z * fast_sigmoid(value * z) * up;
}

}  // namespace kappascope
