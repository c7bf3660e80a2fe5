// Outputs of MoE layers that an intervention takes from another run, in a plan (patch).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/engine/run_plan.h"

namespace kappascope {

// Why they are not of a run of this model; "" when they are.
std::string problem_of(const Model& model, const GivenOutputs& outputs);

// The layers that were recorded, ascending.
std::vector<std::int64_t> layers_of(const GivenOutputs& outputs);

// Gives the outputs to a layer, in every pass, at these tokens (none named: at all). What keeps it
// from that; "" when nothing does.
std::string place_outputs(RunPlan& plan, const std::shared_ptr<const GivenOutputs>& outputs,
                          std::int64_t layer, const std::vector<std::int64_t>& tokens);

// That the run was of a text with so many tokens. Errors: unsupported.
void check_tokens(const GivenOutputs& outputs, std::int64_t tokens);

}  // namespace kappascope
