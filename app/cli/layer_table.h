// The per-layer table that `run` prints.
#pragma once

#include <string>
#include <vector>

#include "core/stats/route_match.h"
#include "core/stats/summary.h"

namespace kappascope {

// Of a summary, in nats; NaN when there is none.
double mean_nll(const Json& summary);

// One line on the run, a header with units, one row per layer and pass. What a layer does not have
// is "–". `mean_nll` in nats, NaN when there is none.
std::string layer_table(const Trace& trace, const std::vector<LayerSummary>& layers,
                        double mean_nll);

// What the router does otherwise than a file has it: one row per layer and pass.
std::string route_table(const std::vector<RouteMatch>& matches, const GivenRoutes& routes);

}  // namespace kappascope
