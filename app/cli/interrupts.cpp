#include "app/cli/interrupts.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <system_error>
#include <utility>

#include "core/error.h"

namespace kappascope {
namespace {

// The signals we take; those our parent had us ignore (nohup, a shell's background job) stay so.
sigset_t taken_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action{};
    sigaction(signal, nullptr, &action);
    if (action.sa_handler != SIG_IGN) { sigaddset(&set, signal); }
  }
  return set;
}

// The descriptor that becomes readable first; −1 when the time runs out.
int wait_readable(int first, int second, int timeout_ms) {
  pollfd polls[2] = {{first, POLLIN, 0}, {second, POLLIN, 0}};
  while (poll(polls, 2, timeout_ms) < 0 && errno == EINTR) {}
  if (polls[0].revents != 0) { return first; }
  return polls[1].revents != 0 ? second : -1;
}

}  // namespace

void remove_unfinished(const std::filesystem::path& unfinished,
                       const std::vector<std::filesystem::path>& made) noexcept {
  std::error_code ignored;
  // Twice: another thread may be creating a file in it right now.
  for (int attempt = 0; attempt < 2 && !unfinished.empty(); ++attempt) {
    std::filesystem::remove_all(unfinished, ignored);
  }
  for (const std::filesystem::path& folder : made) { rmdir(folder.c_str()); }
}

Interrupts::Interrupts(int patience_ms) : patience_ms_(patience_ms), line_(kInterrupted) {
  const sigset_t set = taken_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal_descriptor_ = signalfd(-1, &set, SFD_CLOEXEC);
  stop_descriptor_ = eventfd(0, EFD_CLOEXEC);
  require(signal_descriptor_ >= 0 && stop_descriptor_ >= 0, ExitCode::internal, {},
          "signals cannot be watched: ", std::generic_category().message(errno));
  watcher_ = std::thread([this] { watch(); });
}

Interrupts::~Interrupts() {
  const std::uint64_t one = 1;
  if (write(stop_descriptor_, &one, sizeof one) == ssize_t(sizeof one)) {
    watcher_.join();
  } else {
    watcher_.detach();
  }
  close(signal_descriptor_);
  close(stop_descriptor_);
}

void Interrupts::check() const {
  require(!requested_, ExitCode::interrupted, {}, kInterrupted);
}

void Interrupts::protect(std::filesystem::path unfinished,
                         std::vector<std::filesystem::path> made) {
  const std::unique_lock lock(mutex_);
  unfinished_ = std::move(unfinished);
  made_ = std::move(made);
}

void Interrupts::say_at_end(std::string line) {
  const std::unique_lock lock(mutex_);
  line_ = std::move(line);
}

void Interrupts::watch() {
  if (wait_readable(stop_descriptor_, signal_descriptor_, -1) == stop_descriptor_) { return; }
  signalfd_siginfo info;
  (void)!read(signal_descriptor_, &info, sizeof info);
  requested_ = true;
  if (wait_readable(stop_descriptor_, signal_descriptor_, patience_ms_) == stop_descriptor_) {
    return;
  }
  end_process();
}

void Interrupts::end_process() {
  const std::unique_lock lock(mutex_);
  remove_unfinished(unfinished_, made_);
  const std::string line = "kappascope: " + line_ + "\n";
  (void)!write(STDERR_FILENO, line.data(), line.size());
  _exit(int(ExitCode::interrupted));
}

}  // namespace kappascope
