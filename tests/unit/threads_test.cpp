#include "core/threads.h"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <set>

#include "core/parallel.h"
#include "tests/unit/temp_folder.h"

namespace kappascope {
namespace {

TEST(Threads, QuotaOfVersion2IsTheLeastOfTheGroupAndItsParents) {
  const testing::TempFolder folder;
  folder.write("a/b/cpu.max", "350000 100000\n");
  folder.write("a/cpu.max", "250000 100000\n");
  EXPECT_EQ(cgroup_cpu_quota("0::/a/b\n", folder.path()), 2.5);
  folder.write("a/cpu.max", "max 100000\n");
  EXPECT_EQ(cgroup_cpu_quota("0::/a/b\n", folder.path()), 3.5);
}

TEST(Threads, ContainerSeesItsGroupAtTheMount) {
  const testing::TempFolder folder;
  folder.write("cpu.max", "150000 100000\n");
  EXPECT_EQ(cgroup_cpu_quota("0::/docker/123\n", folder.path()), 1.5);
}

TEST(Threads, QuotaOfVersion1) {
  const testing::TempFolder folder;
  folder.write("cpu,cpuacct/job/cpu.cfs_quota_us", "400000\n");
  folder.write("cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  const char* memberships = "9:name=systemd:/\n5:cpuset:/job\n4:cpu,cpuacct:/job\n0::/\n";
  EXPECT_EQ(cgroup_cpu_quota(memberships, folder.path()), 4.0);
  folder.write("cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(cgroup_cpu_quota(memberships, folder.path()), std::nullopt);
}

TEST(Threads, NoQuotaWhereNoneIsWritten) {
  const testing::TempFolder folder;
  EXPECT_EQ(cgroup_cpu_quota("0::/a\nnonsense\n", folder.path()), std::nullopt);
  folder.write("a/cpu.max", "garbage");
  EXPECT_EQ(cgroup_cpu_quota("0::/a\n", folder.path()), std::nullopt);
}

TEST(Threads, WorkIsSharedOutWithinTheLimit) {
  const auto threads_of_100 = [] {
    std::mutex mutex;
    std::set<std::thread::id> found;
    for_each_parallel(100, [&](std::int64_t) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
      const std::lock_guard lock(mutex);
      found.insert(std::this_thread::get_id());
    });
    return found;
  };
  const int usable = usable_threads();
  limit_threads(1);
  EXPECT_EQ(usable_threads(), 1);
  EXPECT_EQ(threads_of_100(), std::set{std::this_thread::get_id()});
  limit_threads(usable + 1);
  EXPECT_EQ(usable_threads(), usable);
  EXPECT_LE(int(threads_of_100().size()), usable);
}

TEST(Threads, FirstOfAList) {
  EXPECT_EQ(first_thread_count("4"), 4);
  EXPECT_EQ(first_thread_count(" 4,2"), 4);
  EXPECT_EQ(first_thread_count("4 "), 4);
  for (const char* words : {"", "0", "-2", "many", "4x", ",4", "99999999999999"}) {
    EXPECT_EQ(first_thread_count(words), std::nullopt) << words;
  }
}

}  // namespace
}  // namespace kappascope
