// What a tap adds up over tokens and gate units, of some of its tokens alone: the engine adds up
// all of them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/engine/probe.h"
#include "core/engine/run_plan.h"

namespace kappascope {

struct CountedSums {
  std::vector<std::int64_t> kappa_hist;     // [E,kKappaBins]
  std::vector<std::int64_t> gate_pre_hist;  // [E,kGatePreBins]
  std::vector<EffectSums> effect;           // [E]

  // `counted`: [T] of the tap's tokens, 0: left out. The tap has its gates (ProbeWants::gates),
  // from which the kernel of the CPU makes the sums.
  CountedSums(const MoeTap& tap, const RunPlan& plan, std::span<const std::uint8_t> counted);

  // The tap with these sums; it points into this.
  MoeTap in(const MoeTap& tap) const;
};

}  // namespace kappascope
