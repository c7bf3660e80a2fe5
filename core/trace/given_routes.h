// Routing from a file: what an intervention `routes` names, or what a run is compared with.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "core/engine/run_plan.h"

namespace kappascope {

// An integer array [T, rows, K] as a .npy file, as serving engines give it (vLLM and SGLang:
// routed_experts), or the routing of a trace (trace.npz, or the folder with it). Whether it fits a
// run, the plan says. Missing: io; broken: damaged; another type, order or number of axes, a number
// that is no expert: unsupported.
std::shared_ptr<const GivenRoutes> read_routes(const std::filesystem::path& path);

// `resolve`, once the file that the interventions may name is read.
RunPlan resolve_run(const Model& model, const std::vector<Intervention>& interventions);

}  // namespace kappascope
