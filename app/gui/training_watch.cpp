#include "app/gui/training_watch.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <set>
#include <system_error>
#include <utility>

#include "core/checkpoint/folder.h"
#include "core/error.h"
#include "core/figure/runs.h"
#include "core/figure/training_figures.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPeriod{1000};
constexpr std::chrono::seconds kQuiet{60};   // without a new line
constexpr std::chrono::seconds kSettled{3};  // a folder changed so long ago has a new time if it
                                             // changes again, however coarse times are there
constexpr int kShareOfTime = 20;             // at most one part in so many is spent on looking

// Of the processor, by this thread: what it waits for on a busy machine is not its own.
Clock::duration time_of_thread() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

PreparedFigure prepared(const TrainingFigure& figure, LoggedRuns runs) {
  PreparedFigure made;
  try {
    made = PreparedFigure(figure.make(runs));
  } catch (...) { made.failure = failure_in_flight(); }
  return made;
}

// A log that is followed, and what was made of it last.
struct Followed {
  explicit Followed(const fs::path& log) : reader(log) { seen.log = log; }

  // True when anything of `seen` has changed.
  bool look() {
    const bool grew = read();
    std::error_code absent;
    const auto written = fs::last_write_time(reader.file(), absent);
    const bool old = absent || fs::file_time_type::clock::now() - written > kQuiet;
    const bool quiet = old && seen.run && !seen.run->finished();
    return std::exchange(seen.quiet, quiet) != quiet || grew;
  }

  LogReader reader;
  WatchedRun seen;

 private:
  bool read() {
    std::string problem;
    bool grew = false;
    try {
      grew = reader.look();
    } catch (...) {
      problem = failure_in_flight().message;
      // What came before a line that is wrong is shown, too.
      grew = problem != seen.problem && !reader.run().step.empty();
    }
    if (grew) { seen.run = std::make_shared<const LoggedRun>(reader.run()); }
    return std::exchange(seen.problem, problem) != problem || grew;
  }
};

// The steps of a folder of checkpoints, listed again when it has changed.
struct WatchedFolder {
  std::vector<std::int64_t> steps;
  bool listed = false, settled = false;
  fs::file_time_type changed;

  bool look(const fs::path& folder) {
    std::error_code absent;
    const auto now = fs::last_write_time(folder, absent);
    if (listed && settled && !absent && now == changed) { return false; }
    changed = absent ? fs::file_time_type() : now;
    settled = !absent && fs::file_time_type::clock::now() - now > kSettled;
    std::vector<std::int64_t> found;
    try {
      found = find_checkpoint(folder).steps;
    } catch (const Error&) {}  // there is none, or no folder any more
    const bool first = !std::exchange(listed, true);
    return std::exchange(steps, found) != found || first;
  }
};

}  // namespace

// What the thread keeps from look to look.
class TrainingWatch::Looking {
 public:
  // The state of now; null: nothing has changed.
  std::shared_ptr<const TrainingState> look(const Wanted& wanted) {
    bool figures = keep(wanted), changed = figures;
    more_ = false;
    for (Followed& one : followed_) {
      figures = one.look() || figures;
      more_ = more_ || one.reader.more();
    }
    for (const fs::path& folder : wanted.folders) {
      changed = folders_[folder].look(folder) || changed;
    }
    if (figures) { draw(); }
    if (!changed && !figures) { return nullptr; }
    auto state = std::make_shared<TrainingState>();
    for (const Followed& one : followed_) { state->runs.push_back(one.seen); }
    state->figures = figures_;
    for (const auto& [folder, seen] : folders_) { state->steps[folder] = seen.steps; }
    return state;
  }

  bool more() const { return more_; }  // a log was not read to its end

 private:
  // Takes up what is new, also of roots that are followed already, and lets go what is no longer
  // wanted. True when there was any. A log that has vanished is still wanted.
  bool keep(const Wanted& wanted) {
    const auto holds = [](const std::vector<fs::path>& all, const fs::path& one) {
      return std::find(all.begin(), all.end(), one) != all.end();
    };
    bool changed = std::erase_if(followed_, [&](const Followed& one) {
                     return holds(wanted.left, one.seen.log);
                   }) > 0;
    for (const fs::path& root : wanted.roots) {
      const bool known = !roots_.insert(root).second;
      for (const fs::path& log : training_logs(root)) {
        const bool there = std::any_of(followed_.begin(), followed_.end(),
                                       [&](const Followed& one) { return one.seen.log == log; });
        const bool room =
            !known || followed_.size() < kMostTrainingRuns;  // for one that came later
        if (there || !room || holds(wanted.left, log)) { continue; }
        followed_.emplace_back(log);
        followed_.back().seen.later = known;
        changed = true;
      }
    }
    std::erase_if(folders_, [&](const auto& one) { return !holds(wanted.folders, one.first); });
    return changed;
  }

  void draw() {
    figures_.clear();
    std::vector<fs::path> folders;
    std::vector<const LoggedRun*> runs;
    for (const Followed& one : followed_) {
      folders.push_back(one.reader.run().folder);
      if (one.seen.run) { runs.push_back(one.seen.run.get()); }
    }
    const std::vector<std::string> names = folder_names(folders);
    for (std::size_t i = 0; i < followed_.size(); ++i) { followed_[i].seen.name = names[i]; }
    if (runs.empty()) { return; }
    for (const TrainingFigure& figure : training_figures()) {
      figures_.push_back(std::make_shared<const PreparedFigure>(prepared(figure, runs)));
    }
  }

  bool more_ = false;
  std::set<fs::path> roots_;  // that were looked at
  std::vector<Followed> followed_;
  std::vector<std::shared_ptr<const PreparedFigure>> figures_;
  std::map<fs::path, WatchedFolder> folders_;
};

TrainingWatch::TrainingWatch(std::function<void()> wake)
    : wake_(std::move(wake)), thread_([this] { work(); }) {}

TrainingWatch::~TrainingWatch() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool TrainingWatch::ask(Wanted wanted) {
  const std::lock_guard lock(mutex_);
  if (wanted == wanted_) { return false; }
  wanted_ = std::move(wanted);
  ++asked_;
  changed_.notify_all();
  return true;
}

bool TrainingWatch::follow(const fs::path& root) {
  Wanted wanted = wanted_;  // changed by this thread alone
  const auto found = std::find(wanted.roots.begin(), wanted.roots.end(), root);
  if (found == wanted.roots.end()) { wanted.roots.push_back(root); }
  std::erase_if(wanted.left, [&](const fs::path& log) {
    return log == root || log.parent_path() == root || log.parent_path().parent_path() == root;
  });
  return ask(std::move(wanted));
}

void TrainingWatch::leave(const fs::path& log) {
  Wanted wanted = wanted_;
  wanted.left.push_back(log);
  ask(std::move(wanted));
}

void TrainingWatch::watch_folders(std::vector<fs::path> folders) {
  Wanted wanted = wanted_;
  wanted.folders = std::move(folders);
  ask(std::move(wanted));
}

bool TrainingWatch::settled() const {
  const std::lock_guard lock(mutex_);
  return asked_ == answered_ && !fresh_;
}

bool TrainingWatch::nothing_new() const {
  const std::lock_guard lock(mutex_);
  return !fresh_;
}

std::shared_ptr<const TrainingState> TrainingWatch::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(fresh_, nullptr);
}

void TrainingWatch::work() {
  Looking looking;
  Clock::duration spent{};
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto called = [this] { return stop_ || asked_ != answered_; };
    if (wanted_.roots.empty() && wanted_.folders.empty()) {
      changed_.wait(lock, called);  // there is nothing to look at
    } else {
      changed_.wait_for(lock, std::max<Clock::duration>(kPeriod, spent * kShareOfTime), called);
    }
    if (stop_) { return; }
    const Wanted wanted = wanted_;
    const std::uint64_t asked = asked_;
    lock.unlock();
    const Clock::duration start = time_of_thread();
    std::shared_ptr<const TrainingState> state;
    try {
      state = looking.look(wanted);
    } catch (...) {}  // out of memory: perhaps not the next time
    spent = time_of_thread() - start;
    lock.lock();
    if (!looking.more()) { answered_ = asked; }
    if (!state) { continue; }
    fresh_ = std::move(state);
    lock.unlock();
    wake_();
    lock.lock();
  }
}

}  // namespace kappascope::gui
