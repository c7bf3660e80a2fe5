// Routing from a file: what an intervention `routes` names, or what a run is compared with; and
// outputs, which a `patch` names.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/engine/run_plan.h"

namespace kappascope {

// The trace that a path means: trace.npz in the folder `path`, or the file itself.
std::filesystem::path trace_file(const std::filesystem::path& path);

// An integer array [T, rows, K] as a .npy file, as serving engines give it (vLLM and SGLang:
// routed_experts), or the routing of a trace (trace.npz, or the folder with it). Whether it fits a
// run, the plan says. Missing: io; broken: damaged; another type, order or number of axes, a number
// that is no expert: unsupported.
std::shared_ptr<const GivenRoutes> read_routes(const std::filesystem::path& path);

// What the MoE layers gave in a run with `--record outputs`, from its trace (trace.npz, or the
// folder with it). Missing: io; broken: damaged; without outputs: unsupported.
std::shared_ptr<const GivenOutputs> read_outputs(const std::string& path);

// `resolve`, once the files that the interventions may name are read.
RunPlan resolve_run(const Model& model, const std::vector<Intervention>& interventions);

}  // namespace kappascope
