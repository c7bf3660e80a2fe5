// What `compare` found, as JSON, tables and text.
#pragma once

#include <string>
#include <vector>

#include "app/cli/compared_runs.h"
#include "core/figure/figure.h"
#include "core/stats/comparison.h"

namespace kappascope {

struct ComparedResult {
  const std::vector<ComparedRun>& runs;
  std::vector<std::string> names = {};  // of the runs, no two alike
  std::vector<DifferentField> fields = {};
  std::vector<std::vector<LayerSummary>> whole = {};  // of each run, over all texts
  std::vector<SideComparison> sides = {};
  std::int64_t resamples = 0;
  std::uint64_t seed = 0;
};

Json comparison_json(const ComparedResult& result);
Table value_table(const ComparedResult& result);       // a row for each run, layer and statistic
Table difference_table(const ComparedResult& result);  // a row for each pair, layer and statistic
std::string comparison_text(const ComparedResult& result);

}  // namespace kappascope
