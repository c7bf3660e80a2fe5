// The routing of a run beside one that was recorded elsewhere.
#pragma once

#include <cstdint>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/engine/run_plan.h"
#include "core/trace/trace.h"

namespace kappascope {

// Of one layer and pass: what the router itself chooses, also where experts were given to tokens,
// against the experts of the file. Tokens that it has no experts of, and those whose numbers are
// not finite, are left out.
struct RouteMatch {
  std::int64_t layer = -1, pass = -1;
  std::int64_t compared = 0;   // tokens
  std::int64_t otherwise = 0;  // whose set of chosen experts differs
  std::int64_t near_ties = 0;  // of these, where the router's own margin is that of a near tie
};

// In the order of the trace's rows; `plan` is that of its run, and the routes fit both (problem_of,
// check_tokens).
std::vector<RouteMatch> match_routes(const Trace& trace, const RunPlan& plan,
                                     const GivenRoutes& routes);

// {"file", "layers": [{layer, pass, compared, otherwise, near_ties}]}
Json json_of(const std::vector<RouteMatch>& matches, const GivenRoutes& routes);

}  // namespace kappascope
