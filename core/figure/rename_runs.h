// Other names for the runs of a figure than those that run_names() gives.
#pragma once

#include <string>
#include <vector>

#include "core/figure/figure.h"

namespace kappascope {

// Puts labels[i] in place of names[i] in legends, the line under the title, notes and columns
// `run`.
void rename_runs(Figure& figure, const std::vector<std::string>& names,
                 const std::vector<std::string>& labels);

}  // namespace kappascope
