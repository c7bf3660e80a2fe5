// Ctrl-C and its kin: work is asked to stop, and made to when it does not hear.
#pragma once

#include <atomic>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/engine/progress.h"

namespace kappascope {

// While one exists, SIGINT, SIGTERM and SIGHUP set requested() instead of ending the process. When
// the owner has not come back in time (a long matrix product), or at a second signal, the process
// removes what was protected and ends with 130 on the spot. Make it before any other
// thread: they inherit its signal mask.
class Interrupts {
 public:
  // `patience_ms`: how long the owner may take to come back after a signal.
  explicit Interrupts(int patience_ms = kPatienceMs);
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  bool requested() const noexcept { return requested_; }
  // From now on the owner may take so long: it has something to finish after a signal.
  void set_patience(int patience_ms) noexcept { patience_ms_ = patience_ms; }
  // Throws Error (interrupted) when requested.
  void check() const;

  // A folder of unfinished files to remove on the spot, with the folders made for it, deepest
  // first, as far as they are empty. An empty path: nothing.
  void protect(std::filesystem::path unfinished, std::vector<std::filesystem::path> made);

  // Instead of "interrupted; nothing unfinished is left", where the process ends on the spot.
  void say_at_end(std::string line);

  // While held, the process does not end on the spot: for a few renames that belong together.
  std::unique_lock<std::mutex> hold() { return std::unique_lock(mutex_); }

 private:
  static constexpr int kPatienceMs = 700;
  void watch();
  void end_process();

  std::atomic<int> patience_ms_;
  std::atomic<bool> requested_ = false;
  std::mutex mutex_;  // of the three below, and of hold()
  std::string line_;
  std::filesystem::path unfinished_;
  std::vector<std::filesystem::path> made_;
  int signal_descriptor_ = -1;
  int stop_descriptor_ = -1;
  std::thread watcher_;
};

// Reports progress; throws Error (interrupted) when the work should stop.
void go_on(Progress& progress, Stage stage, std::uint64_t done, std::uint64_t total);

// Removes `unfinished` with all in it, then those folders of `made` that are empty.
void remove_unfinished(const std::filesystem::path& unfinished,
                       const std::vector<std::filesystem::path>& made) noexcept;

}  // namespace kappascope
