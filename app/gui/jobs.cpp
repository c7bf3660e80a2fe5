#include "app/gui/jobs.h"

#include <algorithm>
#include <utility>

namespace kappascope::gui {

using Clock = std::chrono::steady_clock;

struct JobQueue::Job final : public Progress {
  JobId id = 0;
  std::string title;
  Work work;
  OnFailure on_failure;

  // Set by work(), used on the UI thread once the job is among the done ones.
  Finish finish;
  Failure failure;

  std::atomic<bool> cancelled = false, stopped = false;

  mutable std::mutex progress_mutex;
  std::optional<Stage> stage;
  std::uint64_t done = 0, total = 0;
  Clock::time_point stage_start;
  std::uint64_t stage_first_done = 0;

  bool update(Stage now, std::uint64_t done_now, std::uint64_t total_now) noexcept override {
    const std::lock_guard lock(progress_mutex);
    if (stage != now) {
      stage = now;
      stage_start = Clock::now();
      stage_first_done = done_now;
    }
    done = done_now;
    total = total_now;
    return !cancelled && !stopped;
  }

  void run() noexcept {
    try {
      finish = work(*this);
    } catch (...) { failure = failure_in_flight(); }
  }

  JobStatus status(bool running) const {
    const std::lock_guard lock(progress_mutex);
    JobStatus now{id, title, stage, done, total, 0, -1, running, cancelled || stopped};
    if (!running || !stage) { return now; }
    now.stage_seconds = std::chrono::duration<double>(Clock::now() - stage_start).count();
    const std::uint64_t steps = done - std::min(done, stage_first_done);
    if (steps > 0 && total >= done) {
      now.seconds_left = now.stage_seconds * double(total - done) / double(steps);
    }
    return now;
  }
};

JobQueue::JobQueue(std::function<void()> wake)
    : wake_(std::move(wake)), thread_([this] { work(); }) {}

JobQueue::~JobQueue() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    waiting_.clear();
    if (running_) { running_->cancelled = true; }
  }
  changed_.notify_all();
  thread_.join();
}

JobId JobQueue::add(std::string title, Work work, OnFailure on_failure, Turn turn) {
  auto job = std::make_shared<Job>();
  job->title = std::move(title);
  job->work = std::move(work);
  job->on_failure = std::move(on_failure);
  const std::lock_guard lock(mutex_);
  job->id = ++last_id_;
  waiting_.insert(turn == Turn::next ? waiting_.begin() : waiting_.end(), job);
  changed_.notify_all();
  return last_id_;
}

void JobQueue::cancel(JobId id) {
  const std::lock_guard lock(mutex_);
  if (running_ && running_->id == id) { running_->cancelled = true; }
  const auto is_it = [id](const auto& job) { return job->id == id; };
  waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(), is_it), waiting_.end());
  for (const auto& job : done_) {
    if (job->id == id) { job->cancelled = true; }
  }
}

void JobQueue::stop(JobId id) {
  const std::lock_guard lock(mutex_);
  if (running_ && running_->id == id) { running_->stopped = true; }
  for (const auto& job : waiting_) {
    if (job->id == id) { job->stopped = true; }
  }
}

void JobQueue::cancel_all() {
  const std::lock_guard lock(mutex_);
  waiting_.clear();
  if (running_) { running_->cancelled = true; }
  for (const auto& job : done_) { job->cancelled = true; }
}

void JobQueue::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !running_ && waiting_.empty(); });
}

std::vector<JobStatus> JobQueue::status() const {
  const std::lock_guard lock(mutex_);
  std::vector<JobStatus> all;
  if (running_) { all.push_back(running_->status(true)); }
  for (const auto& job : waiting_) { all.push_back(job->status(false)); }
  return all;
}

bool JobQueue::idle() const {
  const std::lock_guard lock(mutex_);
  return !running_ && waiting_.empty() && done_.empty();
}

bool JobQueue::nothing_done() const {
  const std::lock_guard lock(mutex_);
  return done_.empty();
}

bool JobQueue::finish_done() {
  std::vector<std::shared_ptr<Job>> done;
  {
    const std::lock_guard lock(mutex_);
    done.swap(done_);
  }
  for (const auto& job : done) {
    if (job->cancelled) { continue; }
    if (job->failure) {
      job->on_failure(job->failure);
    } else if (job->finish) {
      job->finish();
    }
  }
  return !done.empty();
}

void JobQueue::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
    if (stop_) { return; }
    running_ = std::move(waiting_.front());
    waiting_.pop_front();
    const std::shared_ptr<Job> job = running_;
    lock.unlock();
    job->run();
    job->work = nullptr;  // what it held is let go here, not on the UI thread
    lock.lock();
    done_.push_back(std::move(running_));
    running_ = nullptr;
    changed_.notify_all();
    lock.unlock();
    wake_();
    lock.lock();
  }
}

}  // namespace kappascope::gui
