#include "app/cli/run_warnings.h"

#include "core/error.h"

namespace kappascope {

std::vector<std::string> trace_warnings(const Trace& trace,
                                        const std::vector<LayerSummary>& layers) {
  std::vector<std::string> warnings;
  std::int64_t ties = 0, spoilt = 0;
  for (const LayerSummary& layer : layers) {
    ties += layer.near_ties;
    spoilt += layer.nonfinite_tokens;
  }
  const std::string all = join_words(" of ", trace.tokens * trace.layers, " (token, layer) ");
  if (ties > 0)
    warnings.push_back(join_words(ties, all, "choices of experts are near ties (margin < 1e-3): ",
                                  "another precision may route them otherwise"));
  if (spoilt > 0)
    warnings.push_back(join_words(spoilt, all, "rows are spoilt by NaN or infinite weights and ",
                                  "left out of the statistics"));
  return warnings;
}

}  // namespace kappascope
