// The weights of a model for the verbs that run it.
#pragma once

#include <memory>
#include <vector>

#include "app/cli/command_line.h"
#include "app/cli/terminal.h"
#include "core/engine/run_plan.h"
#include "core/trace/recorder.h"

namespace kappascope {

// Loads them where the words say, with what there is to say about it, for calls of at most so many
// tokens, and adds to `settings` what the trace says of device, engine and Torch. One of the plans
// that does not act on a GPU runs on the CPU; where the GPU was asked for by name: unsupported.
// `kept`: bytes of what calls keep for the next, and of what they gave.
struct KeptOfCalls {
  std::uint64_t cache = 0, taps = 0;
};
std::unique_ptr<EngineModel> load_model(const Model& model, const ComputeOptions& compute,
                                        const std::vector<const RunPlan*>& plans,
                                        std::int64_t tokens, Terminal& terminal,
                                        TraceSettings& settings, KeptOfCalls kept = {});

}  // namespace kappascope
