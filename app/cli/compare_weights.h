// `kappascope compare --weights`: two checkpoints tensor by tensor, without a text.
#pragma once

#include <vector>

#include "app/cli/compared_runs.h"

namespace kappascope {

struct WeightsTalk {
  bool json = false, quiet = false;
};

// Of the first and the second run, which are checkpoints; returns the exit code.
int compare_weights(const std::vector<ComparedRun>& runs, const ReadingOptions& reading,
                    WeightsTalk talk, OutputFolder& folder, Terminal& terminal);

}  // namespace kappascope
