// What a sweep over experts has measured, on disk as soon as it is known: a line of JSON each, so
// that a sweep that was killed goes on where it was.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include "core/checkpoint/json.h"

namespace kappascope {

inline constexpr const char* kAblationLog = "ablation.jsonl";

class AblationLog {
 public:
  using Expert = std::pair<std::int64_t, std::int64_t>;  // layer, expert

  // `identity`: what decides about the numbers. A log that is there: with `resume` its results are
  // taken where it is of the same sweep, else io; without, io, unless `force`. The file is made, or
  // begun again, with the first result.
  AblationLog(const std::filesystem::path& folder, const Json& identity, bool resume, bool force);
  ~AblationLog();
  AblationLog(const AblationLog&) = delete;
  AblationLog& operator=(const AblationLog&) = delete;

  // Σ nll of the text without each expert that was tried, nats.
  const std::map<Expert, double>& results() const { return results_; }
  void add(Expert expert, double nll);

 private:
  void read(const std::string& text, const Json& identity);
  void append(const std::string& text);
  void open_file();

  std::string path_;
  Json identity_;
  bool continued_ = false;  // the file has the results of an earlier process
  bool cut_off_ = false;    // and its last line no end
  std::map<Expert, double> results_;
  int descriptor_ = -1;
};

}  // namespace kappascope
