// Follows training runs and folders of checkpoints while other programs write them: a thread looks
// about once a second and reads what was added. What it finds is taken over on the UI thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/figure/prepared.h"
#include "core/train/log_reader.h"

namespace kappascope::gui {

inline constexpr std::size_t kMostTrainingRuns = 16;  // of a folder

// A training run as it was last seen.
struct WatchedRun {
  std::filesystem::path log;
  std::shared_ptr<const LoggedRun> run;  // null: nothing could be read yet
  std::string name;                      // among the others
  std::string problem;  // why the log cannot be read on; "": it can. What was read stays
  bool later = false;   // the log was not yet there when its root was first looked at
  bool quiet = false;   // the run is not finished, and its log has not grown for a minute
};

// All that is watched, in the order in which it was asked for. Replaced as a whole, never changed.
struct TrainingState {
  std::vector<WatchedRun> runs;
  // Of all runs together, in the order of training_figures(); empty: there is no run.
  std::vector<std::shared_ptr<const PreparedFigure>> figures;
  // Steps of complete checkpoints by the folder that has them; none: it cannot be read.
  std::map<std::filesystem::path, std::vector<std::int64_t>> steps;
};

class TrainingWatch {
 public:
  // `wake` is called from the thread when there is something to take.
  explicit TrainingWatch(std::function<void()> wake);
  ~TrainingWatch();
  TrainingWatch(const TrainingWatch&) = delete;
  TrainingWatch& operator=(const TrainingWatch&) = delete;

  // The log at `root`, or those of the folders in it, also of a run that begins there later. False:
  // it is followed already.
  bool follow(const std::filesystem::path& root);
  void leave(const std::filesystem::path& log);  // until its root is followed anew
  // The folders of checkpoints that are watched from now on.
  void watch_folders(std::vector<std::filesystem::path> folders);

  bool settled() const;      // all that is watched was looked at since it was asked for
  bool nothing_new() const;  // take() would give null
  std::shared_ptr<const TrainingState> take();

 private:
  struct Wanted {
    std::vector<std::filesystem::path> roots, left, folders;
    bool operator==(const Wanted&) const = default;
  };
  class Looking;
  bool ask(Wanted wanted);  // false: nothing else than before
  void work();

  const std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Wanted wanted_;
  std::uint64_t asked_ = 0, answered_ = 0;  // so many times `wanted_` changed, and was looked at
  std::shared_ptr<const TrainingState> fresh_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace kappascope::gui
