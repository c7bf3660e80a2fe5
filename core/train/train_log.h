// train.jsonl: what a training run did, one JSON document a line, in order; written while it runs.
//   {"schema": "kappascope.train/1", "settings": {…}}
//   {"step": 1, "tokens": …, "loss": …, …}                       after every step
//   {"step": 100, "held_out_loss": …, "held_out_bits_per_byte": …}   after an evaluation
// docs/files.md has every member. A number that is not finite is null.
#pragma once

#include <cstdint>
#include <filesystem>

#include "core/train/settings.h"

namespace kappascope {

inline constexpr const char* kTrainLog = "train.jsonl";
inline constexpr const char* kTrainSchema = "kappascope.train/1";

// The newest step up to `step` that the log in `folder` has an evaluation of; 0: none. Errors: as
// of TrainLog.
std::int64_t last_evaluation(const std::filesystem::path& folder, std::int64_t step);

class TrainLog {
 public:
  // Makes `folder`/train.jsonl, or goes on with the one that is there: its lines of steps after
  // `step`, and a last one that is not whole, are taken off. `unfinished` is a name in the same
  // file system that may be used meanwhile. Errors: io; damaged, naming the line.
  TrainLog(const std::filesystem::path& folder, const std::filesystem::path& unfinished,
           const TrainSettings& settings, std::int64_t step);
  ~TrainLog();
  TrainLog(const TrainLog&) = delete;
  TrainLog& operator=(const TrainLog&) = delete;

  // `step`: how many steps were done, this one included.
  void add_step(std::int64_t step, const TrainSettings& settings, const TrainingStep& with,
                const StepReport& report);
  void add_evaluation(std::int64_t step, double loss, double bits_per_byte);

 private:
  void add(const Json& document);

  std::string path_;
  int descriptor_ = -1;
};

}  // namespace kappascope
