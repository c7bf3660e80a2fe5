// How far a run of several texts is: "17 of 300", with rate and forecast.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "app/cli/terminal.h"
#include "core/engine/progress.h"

namespace kappascope {

// On a terminal a line that is drawn anew; elsewhere one line per text that is done. What the parts
// of a run report goes in here; loading is the terminal's.
class BatchProgress final : public Progress {
 public:
  // `texts` to run with `tokens` in all, repeated context of chunks included.
  BatchProgress(Terminal& terminal, std::size_t texts, std::uint64_t tokens);

  void begin(std::size_t text, const std::string& source);       // the text-th, from 1
  void end(std::int64_t text_tokens, std::uint64_t run_tokens);  // it is done
  void skip(std::uint64_t run_tokens);  // it failed: its tokens need no time

  // "prefill" says tokens of all texts. False once the user asked to stop.
  bool update(Stage stage, std::uint64_t done, std::uint64_t total) noexcept override;

  double seconds() const;  // since the beginning

 private:
  std::string forecast(std::uint64_t done) const;
  void draw(std::uint64_t done, bool at_once);

  Terminal& terminal_;
  std::size_t texts_, text_ = 0;
  std::uint64_t tokens_, done_ = 0;
  std::string source_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// How far a batch came.
struct Tally {
  std::size_t texts = 0, done = 0, failed = 0, skipped = 0;  // skipped ones are done, too
  std::int64_t tokens = 0;                                   // of those that this run did
  double seconds = 0;                                        // 0: not known
  bool indexed = false;                                      // index.csv says which
  // "298 of 300 texts done, 40 of them before; 2 failed; 81234 tokens in 63.0 s, 1289 tokens/s"
  std::string text() const;
};

}  // namespace kappascope
