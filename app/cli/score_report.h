// What `score` found, as JSON, a table of examples and text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/stats/task_scores.h"
#include "core/tasks/task.h"

namespace kappascope {

inline constexpr const char* kScoreJson = "score.json";

// One run over all tasks: a model with its interventions.
struct ScoredRun {
  std::string name;                               // "d4-kappa, step 4800 (kappa=off)"
  Json about;                                     // what the document says of it
  std::vector<std::vector<ExampleScore>> scores;  // of each task
  std::vector<std::int64_t> cropped;              // likewise, examples
  std::vector<TaskSummary> summaries;             // likewise
  MeanOverTasks mean;
};

struct ScoreResult {
  std::string command;
  std::vector<ScoreTask> tasks;
  std::vector<ScoredRun> runs;              // one, or the second that it is compared with, too
  std::vector<TaskDifference> differences;  // of the first run less the second; of each task
  MeanOverTasks mean_difference;
  std::int64_t resamples = 0;
  std::uint64_t seed = 0;

  // Fills summaries, means and differences from the scores.
  void summarise();
};

Json score_json(const ScoreResult& result);
std::string score_text(const ScoreResult& result);
// A row for each example, in the order in which they were run.
void write_score_csv(const std::filesystem::path& path, const ScoreResult& result);

}  // namespace kappascope
