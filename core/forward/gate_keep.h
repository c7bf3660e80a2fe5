// The intervention gate-keep: of the gate activations a of a (token, expert) only the largest act
// (SPEC §9).
#pragma once

#include "kernels/kernels.h"

namespace kappascope {

// Sets to 0 what is left of a [I] once the smallest set of units with Σ|a| ≥ share·Σ|a| is taken,
// the largest |a| first, of equal ones the lower unit. `share` in (0,1).
void keep_largest(float* a, std::int64_t gates, double share);

// `stats` with those of its numbers that follow from a alone computed of this a [I].
GateStats stats_of_kept(GateStats stats, const float* a, const KappaSwigluArgs& args);

// kernels.kappa_swiglu where a share of each row's activations acts: hidden, gate statistics
// and gate_act_out are of those; κ, z, their counts and the effect of κ are of all.
void kappa_swiglu_of_largest(const CpuKernels& kernels, const KappaSwigluArgs& args, double share);

}  // namespace kappascope
