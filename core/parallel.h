// Independent pieces of work shared out among the cores.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "core/threads.h"

namespace kappascope {

// Calls item(0) … item(count − 1), each once, in no fixed order, on usable_threads() threads; the
// calling one is among them; at most `most` run at once. What an item throws comes out here (of
// several the first), after the items under way; those not begun are left out.
template <typename Item>
void for_each_parallel(std::int64_t count, const Item& item, std::int64_t most = INT64_MAX) {
  std::atomic<std::int64_t> next = 0;
  std::mutex mutex;
  std::exception_ptr thrown;
  const auto work = [&] {
    try {
      for (std::int64_t i = next++; i < count; i = next++) { item(i); }
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      if (!thrown) { thrown = std::current_exception(); }
    }
  };
  {
    std::vector<std::jthread> others;
    try {
      while (std::ssize(others) + 1 < std::min<std::int64_t>({count, most, usable_threads()})) {
        others.emplace_back(work);
      }
    } catch (const std::system_error&) {  // no more threads to be had: those there are do it
    }
    work();
  }
  if (thrown) { std::rethrow_exception(thrown); }
}

}  // namespace kappascope
