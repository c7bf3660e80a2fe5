// Work that must not hold up the window: one thread, one job after the other, each with progress
// and cancel. What a job made is taken over on the UI thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/engine/progress.h"
#include "core/error.h"

namespace kappascope::gui {

using JobId = std::uint64_t;  // 0: no job

enum class Turn { last, next };  // after the waiting ones, or before them

// What the window shows of a waiting or running job.
struct JobStatus {
  JobId id = 0;
  std::string title;
  std::optional<Stage> stage;         // absent while it is waiting
  std::uint64_t done = 0, total = 0;  // steps of the stage
  double stage_seconds = 0;           // since the stage began
  double seconds_left = -1;           // of the stage; −1: not known yet
  bool running = false, cancelled = false;
};

class JobQueue {
 public:
  // Runs on the UI thread, in finish_done().
  using Finish = std::function<void()>;
  // Runs on the worker; returns what the UI thread is to do with the result. Throws what stopped
  // it. Must stop soon after the progress says so.
  using Work = std::function<Finish(Progress&)>;
  using OnFailure = std::function<void(const Failure&)>;  // UI thread; not called when cancelled

  // `wake` is called from the worker when there is something for finish_done().
  explicit JobQueue(std::function<void()> wake);
  ~JobQueue();  // cancels what is there and waits for the running job
  JobQueue(const JobQueue&) = delete;
  JobQueue& operator=(const JobQueue&) = delete;

  JobId add(std::string title, Work work, OnFailure on_failure, Turn turn = Turn::last);
  // The job ends when it next reports progress; neither its Finish nor its OnFailure is called.
  void cancel(JobId id);
  // The job ends as early, but its Finish or OnFailure is still called.
  void stop(JobId id);
  void cancel_all();
  void wait();  // until no job is waiting or running

  std::vector<JobStatus> status() const;  // running one first
  bool idle() const;                      // nothing is waiting, running, or left to finish

  bool nothing_done() const;  // finish_done() would do nothing

  // UI thread: calls Finish or OnFailure of the jobs that ended. True when there was one.
  bool finish_done();

 private:
  struct Job;
  void work();

  const std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> waiting_;
  std::shared_ptr<Job> running_;
  std::vector<std::shared_ptr<Job>> done_;
  JobId last_id_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace kappascope::gui
