// What a sweep over places of a model has measured, on disk as soon as it is known: a line of JSON
// each, so that a sweep that was killed goes on where it was.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include "core/checkpoint/json.h"

namespace kappascope {

// A kind of sweep: its file, and what the lines of that call the two numbers of a place and what
// was measured there.
struct SweepForm {
  const char* file;
  const char* schema;
  const char *first, *second, *value;
};
inline constexpr SweepForm kAblationLog{"ablation.jsonl", "kappascope.ablation-log/1", "layer",
                                        "expert", "nll"};
inline constexpr SweepForm kPatchingLog{"patching.jsonl", "kappascope.patching-log/1", "row",
                                        "token", "logprob"};

class SweepLog {
 public:
  using Spot = std::pair<std::int64_t, std::int64_t>;  // layer and expert; row and token

  // `identity`: what decides about the numbers. A log that is there: with `resume` its results are
  // taken where it is of the same sweep, else io; without, io, unless `force`. The file is made, or
  // begun again, with the first result.
  SweepLog(const SweepForm& form, const std::filesystem::path& folder, const Json& identity,
           bool resume, bool force);
  ~SweepLog();
  SweepLog(const SweepLog&) = delete;
  SweepLog& operator=(const SweepLog&) = delete;

  // What was measured at each place that was tried, nats.
  const std::map<Spot, double>& results() const { return results_; }
  void add(Spot spot, double value);
  // Forgets those that are of no place of this sweep, as an earlier one or a stranger may have
  // left.
  template <typename IsOf>
  void keep(IsOf&& is_of) {
    std::erase_if(results_, [&](const auto& result) { return !is_of(result.first); });
  }

 private:
  void read(const std::string& text, const Json& identity);
  void append(const std::string& text);
  void open_file();

  SweepForm form_;
  std::string path_;
  Json identity_;
  bool continued_ = false;  // the file has the results of an earlier process
  bool cut_off_ = false;    // and its last line no end
  std::map<Spot, double> results_;
  int descriptor_ = -1;
};

}  // namespace kappascope
