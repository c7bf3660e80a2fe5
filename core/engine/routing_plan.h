// Experts that interventions give to tokens, in a plan (SPEC §9: route, routes).
#pragma once

#include <string>

#include "core/engine/run_plan.h"

namespace kappascope {

struct LayerAndPass {
  std::int64_t layer, pass;
};
// What each row of `routes` is of, in a run of that plan.
std::vector<LayerAndPass> rows_of(const RunPlan& plan, const GivenRoutes& routes);

// What does not fit the plan, naming row, layer, token, slot and expert; "" when all does. Only
// where they are to be replayed, no expert may be one that an intervention takes out of the choice.
std::string problem_of(const RunPlan& plan, const GivenRoutes& routes, bool replayed);

// Gives each row of plan.routes to its layer and pass; the same.
std::string place_routes(RunPlan& plan);

// That they are of a text with these ids. Errors: unsupported.
void check_tokens(const GivenRoutes& routes, std::span<const std::int32_t> ids);

}  // namespace kappascope
