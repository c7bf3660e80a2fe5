// The job queue of the window: order, cancel, failures, and no thread left behind.
#include "app/gui/jobs.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>

namespace kappascope::gui {
namespace {

using namespace std::chrono_literals;

// Once a first thread was made: the sanitizer starts one of its own with it.
std::size_t threads_of_process() {
  std::thread([] {}).join();
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Threads:")) { return std::stoul(line.substr(8)); }
  }
  return 0;
}

void finish_all(JobQueue& queue) {
  while (!queue.idle()) {
    queue.finish_done();
    std::this_thread::sleep_for(1ms);
  }
}

// Works until it is told to stop.
JobQueue::Finish endless(Progress& progress) {
  for (std::uint64_t i = 0; progress.update(Stage::copy, i, 1000000); ++i) {
    std::this_thread::sleep_for(1ms);
  }
  throw Error(ExitCode::interrupted, "interrupted");
}

void never(const Failure& failure) {
  ADD_FAILURE() << failure.message;
}

TEST(Jobs, ResultsComeInOrderOnTheThreadThatAsks) {
  std::atomic<int> wakes = 0;
  JobQueue queue([&] { ++wakes; });
  std::string order;
  const auto here = std::this_thread::get_id();
  for (const char* name : {"a", "b", "c"}) {
    queue.add(
        name,
        [&, name](Progress&) -> JobQueue::Finish {
          EXPECT_NE(std::this_thread::get_id(), here);
          return [&, name] {
            EXPECT_EQ(std::this_thread::get_id(), here);
            order += name;
          };
        },
        never);
  }
  finish_all(queue);
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(wakes, 3);
}

TEST(Jobs, WhatIsLookedAtGoesAheadOfWhatWaits) {
  JobQueue queue([] {});
  std::atomic<bool> go = false;
  std::string order;
  const auto job = [&](const char* name, Turn turn) {
    queue.add(
        name,
        [&, name](Progress&) -> JobQueue::Finish {
          while (!go) { std::this_thread::sleep_for(1ms); }
          return [&, name] { order += name; };
        },
        never, turn);
  };
  job("a", Turn::last);
  while (!queue.status().front().running) { std::this_thread::sleep_for(1ms); }
  job("b", Turn::last);
  job("c", Turn::next);
  job("d", Turn::next);
  go = true;
  finish_all(queue);
  EXPECT_EQ(order, "adcb");
}

TEST(Jobs, AFailureIsSaidOnceAndTheQueueGoesOn) {
  JobQueue queue([] {});
  Failure said;
  bool after = false;
  queue.add(
      "fails", [](Progress&) -> JobQueue::Finish { throw Error(ExitCode::damaged, "bad"); },
      [&](const Failure& failure) { said = failure; });
  queue.add("works", [&](Progress&) -> JobQueue::Finish { return [&] { after = true; }; }, never);
  finish_all(queue);
  EXPECT_EQ(said.code, ExitCode::damaged);
  EXPECT_EQ(said.message, "bad");
  EXPECT_TRUE(after);
}

TEST(Jobs, ProgressTellsStageStepsAndForecast) {
  JobQueue queue([] {});
  std::atomic<bool> go_on = false;
  queue.add(
      "long",
      [&](Progress& progress) -> JobQueue::Finish {
        progress.update(Stage::load, 0, 100);
        std::this_thread::sleep_for(5ms);
        progress.update(Stage::load, 50, 100);
        while (!go_on) { std::this_thread::sleep_for(1ms); }
        return {};
      },
      never);
  JobStatus status;
  while (status.done != 50) {
    if (const auto all = queue.status(); !all.empty()) { status = all.front(); }
  }
  EXPECT_EQ(status.title, "long");
  EXPECT_EQ(status.stage, Stage::load);
  EXPECT_EQ(status.total, 100u);
  EXPECT_TRUE(status.running);
  EXPECT_GT(status.seconds_left, 0);
  go_on = true;
  finish_all(queue);
}

TEST(Jobs, WhatAStoppedJobThrowsIsTakenOver) {
  JobQueue queue([] {});
  int interrupted = 0;
  const auto count = [&](const Failure& failure) {
    interrupted += failure.code == ExitCode::interrupted;
  };
  const JobId running = queue.add("endless", endless, count);
  const JobId waiting = queue.add("endless", endless, count);
  queue.stop(waiting);
  queue.stop(running);
  queue.stop(running + waiting);  // nobody's
  finish_all(queue);
  EXPECT_EQ(interrupted, 2);
}

TEST(Jobs, AThousandQuickCancelsLeaveNothing) {
  const std::size_t threads = threads_of_process();
  {
    JobQueue queue([] {});
    std::atomic<int> finished = 0;
    for (int i = 0; i < 1000; ++i) {
      const JobId id = queue.add("endless", endless, never);
      if (i % 3 == 0) {
        std::this_thread::sleep_for(200us);  // cancelled before, while and after
      }
      queue.cancel(id);
      queue.finish_done();
    }
    queue.add("last", [&](Progress&) -> JobQueue::Finish { return [&] { ++finished; }; }, never);
    finish_all(queue);
    EXPECT_EQ(finished, 1);
  }
  EXPECT_EQ(threads_of_process(), threads);
}

TEST(Jobs, FiveHundredQueuesEndWithWorkInThem) {
  const std::size_t threads = threads_of_process();
  for (int i = 0; i < 500; ++i) {
    JobQueue queue([] {});
    queue.add("endless", endless, never);
    queue.add("waits", endless, never);
    if (i % 2 == 0) { std::this_thread::sleep_for(100us); }
  }
  EXPECT_EQ(threads_of_process(), threads);
}

}  // namespace
}  // namespace kappascope::gui
