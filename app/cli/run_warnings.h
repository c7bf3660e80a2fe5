// What a reader of a run's numbers should know of them.
#pragma once

#include <string>
#include <vector>

#include "core/stats/layer.h"
#include "core/stats/summary.h"

namespace kappascope {

// One line each; none where all is well.
std::vector<std::string> trace_warnings(const Trace& trace,
                                        const std::vector<LayerSummary>& layers);

}  // namespace kappascope
