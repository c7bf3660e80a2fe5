// What a reader of a run's numbers should know of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "app/cli/fail_if.h"
#include "core/stats/layer.h"
#include "core/stats/summary.h"

namespace kappascope {

// Choices of experts so close that another precision may make them otherwise.
struct NearTies {
  std::int64_t ties = 0, choices = 0, texts = 0;  // texts: those with any
  double limit = 0;                               // Trace::near_tie

  void add(const Trace& trace, const std::vector<LayerSummary>& layers);
  std::string text() const;  // one line; "" without any
};

// What else there is to warn of, one line each; none where all is well.
// `weights_finite`: no weight is NaN or infinite, so numbers of the trace that are not finite
// overflowed while running.
std::vector<std::string> trace_warnings(const Trace& trace, const std::vector<LayerSummary>& layers,
                                        bool weights_finite);

// One line that names the files of `folder` that an earlier run left beside `written`, the files of
// this one: they are of another text. "" when there are none.
std::string older_files(const std::filesystem::path& folder,
                        const std::vector<std::string>& written);

// Numbers of a run that --fail-if knows: of its text, and of each layer as in summary.json.
std::vector<std::string> run_threshold_names();
void check_thresholds(Thresholds& thresholds, const std::vector<LayerSummary>& layers,
                      const Json& summary, const std::string& source);

}  // namespace kappascope
