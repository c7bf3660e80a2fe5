// The tasks that the command line names.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/tasks/task.h"

namespace kappascope {

struct TaskOptions {
  std::vector<std::string> paths;
  // Absent: what a bundle says; else none, a blank and what a blind guess gets right.
  std::optional<std::int64_t> shots;
  std::optional<std::string> delimiter;
  std::optional<double> baseline;
  std::int64_t most = 0;  // examples of each; 0: all

  // --tasks, --shots, --delimiter, --baseline, --max-examples
  void add_to(CLI::App& app);
  void check() const;  // usage

  // Every task: of a file of JSON Lines; of a bundle's folder, or its core.yaml, all of them. A
  // file below eval_data of a bundle is what core.yaml says, as often as it is there. Errors name
  // file and line: io, damaged, unsupported; two of one name: usage.
  std::vector<ScoreTask> read() const;
};

}  // namespace kappascope
