// From opened runs to what `compare` and `report` say of them.
#pragma once

#include <functional>
#include <vector>

#include "app/cli/compare_report.h"
#include "core/engine/progress.h"

namespace kappascope {

// The first run is what the others are compared with; with runs of a second side the first side is
// compared with that. `runs` must outlive the result. `seed`: of the resamples behind intervals.
// Throws Error (interrupted) when the progress says stop.
ComparedResult compared(const std::vector<ComparedRun>& runs, std::uint64_t seed,
                        Progress& progress);

// Gives `use` each map that is also drawn as a difference, where the two runs have it in one shape.
// Errors as above.
void for_each_map_difference(const ComparedResult& result, Progress& progress,
                             const std::function<void(Figure&)>& use);

}  // namespace kappascope
