// How many threads this process may keep busy, and how they wait.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

namespace kappascope {

// The smallest of: the processors of the affinity mask, the CPU quota of the control group rounded
// up, OMP_NUM_THREADS and OMP_THREAD_LIMIT where they are set, and limit_threads(). At least 1; all
// but the last are found out once.
int usable_threads();
// Caps usable_threads() at `most`, in the program. The engine libraries link a copy of their own
// and take their number from LoadOptions::threads.
void limit_threads(int most);

// Throws (memory, with what helps) unless the process may have `count` − 1 threads more at once.
// For libraries that end the process when a thread cannot be had: Torch's pool, Pango.
void require_threads(int count);

// Threads of OpenMP that wait for work sleep instead of spinning, unless the user has chosen with
// OMP_WAIT_POLICY or GOMP_SPINCOUNT: spinning takes the cores from other jobs of a shared machine
// and costs us our own turn. To be called before any thread starts and before Torch is loaded,
// which brings OpenMP and reads the environment once.
void let_waiting_threads_sleep();

// CPUs that a control group may use at once, the least over the group and its parents; none without
// a quota. `memberships` is the text of /proc/self/cgroup, `mount` is /sys/fs/cgroup: version 2
// (cpu.max) and version 1 (cpu.cfs_quota_us) are both read.
std::optional<double> cgroup_cpu_quota(std::string_view memberships,
                                       const std::filesystem::path& mount);

// The first number of a list as OMP_NUM_THREADS has it ("4,2"); none when it is no positive number.
std::optional<int> first_thread_count(std::string_view words);

}  // namespace kappascope
