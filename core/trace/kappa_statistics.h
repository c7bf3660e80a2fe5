// κ over the gate units of an expert at one score: what the trace keeps of it (SPEC §4).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/kernels.h"

namespace kappascope {

// The experts of one layer whose κ follows from the score alone.
class LayerKappa {
 public:
  // `kappa` of the whole layer, without from_gate.
  LayerKappa(const KappaView& kappa, std::int64_t experts, std::int64_t gates);

  // Of expert e at score s; all NaN when a κ is NaN.
  KappaStatistics at(std::int64_t expert, float score);

 private:
  KappaView kappa_;
  std::int64_t gates_;
  // Without α the score is the same for every token, and so is κ.
  std::vector<std::optional<KappaStatistics>> fixed_;  // [E]
};

}  // namespace kappascope
