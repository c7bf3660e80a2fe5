// A trace whose number of slots is known only at its end is written with room for every expert
// first, and then anew with the slots that tokens use.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "core/engine/run_plan.h"
#include "core/trace/npz.h"

namespace kappascope {

// Copies an array; of one with an axis "slot", whose length is `before`, the first `slots` of it.
void copy_slots(const NpzReader& from, const NpyArray& array, std::int64_t before,
                std::int64_t slots, NpzWriter& to);

// The file is removed at the end of a scope.
struct RemovedAtEnd {
  std::filesystem::path file;
  ~RemovedAtEnd();
};

// layer_budget, layer_threshold and layer_cap.
struct SoftRules {
  std::vector<float> budget, threshold;  // [M]
  std::vector<std::int32_t> cap;         // [M] 0: none
};
// Of the recorded MoE layers, pass after pass; a layer has at most `experts`.
SoftRules soft_rules(const RunPlan& plan, const std::vector<std::int64_t>& moe_layers,
                     std::int64_t experts);
void write_soft_rules(const SoftRules& rules, NpzWriter& writer);

}  // namespace kappascope
