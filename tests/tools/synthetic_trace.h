// Makes a trace of a model without running it: for tests and benchmarks of what reads traces.
#pragma once

#include <cstdint>
#include <filesystem>

#include "core/model/model.h"

namespace kappascope::synthetic {

struct TraceSpec {
  std::int64_t tokens = 64;  // T
  std::uint64_t seed = 1;
  bool gates = false;   // as with --record gates
  bool logits = false;  // as with --logits
};

// Writes trace.npz and model.npz of `model` into `folder` (made when it is absent; neither file may
// be there). Routing follows random router logits by the model's own rules (k, capacity, κ from
// its parameters); gate statistics, histograms, effects and predictions are plausible numbers that
// belong to no text.
void write_trace(const std::filesystem::path& folder, const Model& model, const TraceSpec& spec);

}  // namespace kappascope::synthetic
