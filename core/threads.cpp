#include "core/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <latch>
#include <limits>
#include <new>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "core/cgroup.h"
#include "core/error.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

// cpu.max: "200000 100000", or "max 100000" without a quota.
std::optional<double> quota_of_version_2(const fs::path& group) {
  std::istringstream in(small_file(group / "cpu.max"));
  double quota = 0, period = 0;
  if (!(in >> quota >> period) || quota <= 0 || period <= 0) { return {}; }
  return quota / period;
}

// cpu.cfs_quota_us is −1 without a quota.
std::optional<double> quota_of_version_1(const fs::path& group) {
  const std::optional<double> quota = number_in(group / "cpu.cfs_quota_us");
  const std::optional<double> period = number_in(group / "cpu.cfs_period_us");
  if (!quota || !period || *quota <= 0 || *period <= 0) { return {}; }
  return *quota / *period;
}

std::optional<int> affinity() {
  // Machines of more processors than cpu_set_t holds need a larger mask.
  for (int most = CPU_SETSIZE; most <= 1 << 20; most *= 4) {
    cpu_set_t* mask = CPU_ALLOC(std::size_t(most));
    if (!mask) { return {}; }
    const std::size_t size = CPU_ALLOC_SIZE(std::size_t(most));
    const bool known = sched_getaffinity(0, size, mask) == 0;
    const int count = known ? CPU_COUNT_S(size, mask) : 0;
    CPU_FREE(mask);
    if (known && count > 0) { return count; }
  }
  return {};
}

int count_usable_threads() {
  int threads = affinity().value_or(int(std::thread::hardware_concurrency()));
  if (const auto quota = cgroup_cpu_quota(small_file("/proc/self/cgroup"), "/sys/fs/cgroup")) {
    threads = std::min(threads, int(std::ceil(std::min(*quota, 1e6))));
  }
  for (const char* name : {"OMP_NUM_THREADS", "OMP_THREAD_LIMIT"}) {
    const char* words = std::getenv(name);
    if (const auto wanted = first_thread_count(words ? words : "")) {
      threads = std::min(threads, *wanted);
    }
  }
  return std::max(1, threads);
}

}  // namespace

std::optional<double> cgroup_cpu_quota(std::string_view memberships, const fs::path& mount) {
  return least_group_limit(memberships, mount, "cpu", quota_of_version_1, quota_of_version_2);
}

std::optional<int> first_thread_count(std::string_view words) {
  words.remove_prefix(std::min(words.find_first_not_of(" \t"), words.size()));
  int count = 0;
  const auto [end, error] = std::from_chars(words.data(), words.data() + words.size(), count);
  const bool ends = end == words.data() + words.size() || *end == ',' || *end == ' ';
  if (error != std::errc() || !ends || count < 1) { return {}; }
  return count;
}

namespace {

std::atomic<int> thread_limit = std::numeric_limits<int>::max();

}  // namespace

int usable_threads() {
  static const int count = count_usable_threads();
  return std::min(count, thread_limit.load());
}

void limit_threads(int most) {
  thread_limit = std::max(1, most);
}

void let_waiting_threads_sleep() {
  if (!std::getenv("GOMP_SPINCOUNT")) { setenv("OMP_WAIT_POLICY", "passive", 0); }
}

void require_threads(int count) {
  constexpr int kSpare = 2;  // what our own work starts beside them
  const std::int64_t wanted = count + kSpare;
  std::latch started(wanted);
  std::vector<std::jthread> others;
  others.reserve(wanted);
  // Those that wait go on: nothing would end them.
  const auto let_go = [&] { started.count_down(wanted - std::ssize(others)); };
  try {
    while (std::ssize(others) + 1 < wanted) {
      others.emplace_back([&started] { started.arrive_and_wait(); });
    }
    started.count_down();
  } catch (const std::bad_alloc&) {
    let_go();
    throw;
  } catch (const std::system_error&) {
    let_go();
    const std::int64_t found = std::max<std::int64_t>(1, std::ssize(others) + 1 - kSpare);
    fail(ExitCode::memory, {}, "no more threads for this process; expected ", count, ", found ",
         found, "; raise the limit (ulimit -u), or run with --threads ", found);
  }
}

}  // namespace kappascope
