// What a checkpoint is in numbers and words, from its headers alone.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/model/model.h"

namespace kappascope {

// Counted from the tensor directory; tables with their padding rows.
struct ParameterCounts {
  std::int64_t total = 0;
  // Per token: K of E of what every expert has its own of, of several sets of κ parameters those
  // that act, all else in full; of soft routing, where the text decides how many experts run, as
  // many as the budget k says.
  double active = 0;
  bool of_budgets = false;                         // `active` follows from budgets
  double always = 0;                               // parameters that no expert has for itself
  std::vector<double> per_expert;                  // [L] of one expert; 0 in dense layers
  std::map<std::string, std::int64_t> parts;       // "experts", "attention" … → parameters
  std::map<std::string, std::int64_t> tensors_of;  // dtype → tensors
};
ParameterCounts count_parameters(const Model& model);
// What is assumed of `active`: "", or " with as many experts as the budgets say".
std::string active_condition(const ParameterCounts& counts);

// A run of layers alike.
struct LayerRange {
  std::int64_t first = 0, last = 0;
  std::string text;  // "MoE, 2 of 8 experts, 384 gate units each, κ within 1/3 … 3"
};
std::vector<LayerRange> layer_ranges(const Model& model);

// What s is, in the first MoE layer that has one (below the start of κ a κ router has none);
// nullptr: no layer has.
const KappaScore* first_score(const Architecture& architecture);

}  // namespace kappascope
