// What the benchmark measures of this project. A program of works reads one JSON command a line on
// stdin and answers each with one on stdout; bench.py interleaves the rounds with those of peers.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/checkpoint/json.h"

namespace kappascope::bench {

// Made once from its arguments, then run once a round. run() answers at least {"seconds": …} and
// may add what the driver compares.
class Work {
 public:
  virtual ~Work() = default;
  virtual Json run(const Json& arguments) = 0;
};

using Maker = std::function<std::unique_ptr<Work>(const Json& arguments)>;

inline double seconds_now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

// Answers {"make": NAME, …} and {"run": {…}} until stdin ends; errors are answers, too.
int serve(const std::map<std::string, Maker>& makers);

}  // namespace kappascope::bench
