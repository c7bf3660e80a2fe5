#include "app/cli/load_model.h"

#include <algorithm>

#include "app/run_text.h"
#include "core/engine/memory_plan.h"

namespace kappascope {
namespace {

// Says so where the device was not asked for by name, and takes the CPU.
void leave_gpu(const std::vector<const RunPlan*>& plans, const ComputeOptions& compute,
               LoadOptions& load, std::string& note) {
  const auto keeps_gates = [](const RunPlan* plan) {
    return std::any_of(plan->layers.begin(), plan->layers.end(),
                       [](const LayerPlan& layer) { return !layer.gate_keep.empty(); });
  };
  if (std::none_of(plans.begin(), plans.end(), keeps_gates) || load.device == ComputeDevice::cpu) {
    return;
  }
  require(compute.automatic(), ExitCode::unsupported, Remedy::use_cpu, {},
          "gate-keep: it does not act on a GPU");
  load.device = ComputeDevice::cpu;
  note = "running on the CPU: gate-keep does not act on a GPU";
}

}  // namespace

std::unique_ptr<EngineModel> load_model(const Model& model, const ComputeOptions& compute,
                                        const std::vector<const RunPlan*>& plans,
                                        std::int64_t tokens, Terminal& terminal,
                                        TraceSettings& settings, KeptOfCalls kept) {
  LoadOptions load = compute.load_options();
  std::string note;
  leave_gpu(plans, compute, load, note);
  load.tokens = tokens;
  load.cache = kept.cache;
  load.kept = kept.taps;
  load.lens = settings.lens;
  load.gates = settings.record_gates || settings.only_assistant;
  const MemoryPlan memory = plan_memory(model, load);
  terminal.debug(memory_text(memory));
  if (!memory.gpu) { load.memory = memory.bound; }
  const bool somewhere = compute.automatic() && note.empty();
  std::unique_ptr<EngineModel> loaded = somewhere
                                            ? load_weights_somewhere(model, load, terminal, note)
                                            : load_weights(model, load, terminal);
  terminal.erase();
  if (!note.empty()) {
    terminal.warn(note);
    terminal.debug(memory_text(plan_memory(model, load)));
  }
  settings.device = compute.name_of(load);
  const std::string nonfinite = nonfinite_weights(model, *loaded);
  if (compute.strict && !nonfinite.empty()) { throw Error(ExitCode::damaged, nonfinite); }
  if (!nonfinite.empty()) { terminal.warn(nonfinite); }
  if (*loaded->description()) { terminal.debug(loaded->description()); }
  settings.torch_version = engine(load.device).torch_version();
  settings.engine = loaded->description();
  terminal.debug(join_words("Torch ", settings.torch_version, ", ", load.threads, " threads"));
  return loaded;
}

}  // namespace kappascope
