// The two files of a CORE bundle that say what its tasks are: core.yaml and eval_meta_data.csv.
// Both are untrusted.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/tasks/task.h"

namespace kappascope {

// An entry of `icl_tasks` in core.yaml.
struct BundleTask {
  std::string label;
  std::string data;        // dataset_uri: a path below the folder eval_data
  std::string type;        // icl_task_type, of which task_type_of() may know nothing
  std::int64_t shots = 0;  // the first of num_fewshot
  std::string delimiter = " ";
  std::int64_t line = 0;  // of core.yaml, from 1
};

// Reads the part of YAML that such files are written in: a list of mappings whose values are plain
// or quoted on one line, or lists of such. Other sections and keys are passed over. Errors, naming
// the line: damaged.
std::vector<BundleTask> parse_bundle(std::string_view text, const std::string& file);

// "Random baseline" of each "Eval Task" of eval_meta_data.csv, per cent. Errors: damaged.
std::map<std::string, double> parse_baselines(std::string_view text, const std::string& file);

}  // namespace kappascope
