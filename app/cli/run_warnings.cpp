#include "app/cli/run_warnings.h"

#include "core/error.h"

namespace kappascope {

void NearTies::add(const Trace& trace, const std::vector<LayerSummary>& layers) {
  const std::int64_t before = ties;
  for (const LayerSummary& layer : layers) ties += layer.near_ties;
  choices += trace.tokens * trace.layers;
  texts += ties > before ? 1 : 0;
}

std::string NearTies::text() const {
  if (ties == 0) return "";
  return join_words(ties, " of ", choices, " (token, layer) choices of experts",
                    texts > 1 ? join_words(", in ", texts, " texts,") : "",
                    " are near ties (margin < 1e-3): another precision may route them otherwise");
}

std::vector<std::string> trace_warnings(const Trace& trace,
                                        const std::vector<LayerSummary>& layers) {
  std::vector<std::string> warnings;
  std::int64_t spoilt = 0;
  for (const LayerSummary& layer : layers) spoilt += layer.nonfinite_tokens;
  if (spoilt > 0)
    warnings.push_back(join_words(spoilt, " of ", trace.tokens * trace.layers,
                                  " (token, layer) rows are spoilt by NaN or infinite weights and ",
                                  "left out of the statistics"));
  return warnings;
}

}  // namespace kappascope
