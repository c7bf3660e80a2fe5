// Reads train.jsonl, also while another program writes it: a look takes what was added since the
// last one. The file is untrusted.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/nan.h"

namespace kappascope {

// A MoE layer at the steps at which the log describes layers. NaN: the log has no such field.
struct LoggedLayer {
  std::int64_t layer = 0, experts = 0;           // experts 0: no load
  std::vector<std::int64_t> step;                // [n] ascending
  std::vector<float> load;                       // [n,E] "load", shares of the assignments
  std::vector<double> kappa_mean, kappa_spread;  // [n] "kappa_mean", "kappa_sd"
  std::vector<double> budget, experts_run;       // [n] with soft routing
};

// What the log holds so far. NaN: null in the log.
struct LoggedRun {
  std::filesystem::path folder;                 // of the log
  std::int64_t steps = 0;                       // that the settings make; 0: they do not say
  std::vector<std::int64_t> step;               // [n] ascending
  std::vector<double> loss;                     // [n] "loss", nats a token
  std::vector<std::int64_t> evaluated;          // [m] ascending
  std::vector<double> held_out, held_out_bits;  // [m] "held_out_loss", "…_bits_per_byte"
  std::vector<LoggedLayer> layers;              // ascending
  std::int64_t kappa_learned = -1, bound_reached = -1;  // first steps of that; −1: none yet

  std::int64_t last_step() const { return step.empty() ? 0 : step.back(); }
  bool finished() const { return steps > 0 && last_step() >= steps; }
  bool has_kappa() const;   // any layer has
  bool has_budget() const;  // likewise, of soft routing
};

class LogReader {
 public:
  explicit LogReader(std::filesystem::path file);

  // Takes what was added, at most 64 MB; true when run() has changed. A file that another took the
  // place of, or that was shortened or rewritten, is read from its start. A line is read once it
  // has its end. Errors: io (no such file); damaged, naming the line, or unsupported (another
  // schema, more than this reader keeps): run() holds what came before, and the line is tried again
  // at the next look.
  bool look();
  bool more() const { return more_; }  // look() stopped before the end
  const LoggedRun& run() const { return run_; }
  const std::filesystem::path& file() const { return file_; }

 private:
  void begin_again();
  bool is_other(int descriptor, std::int64_t size, dev_t device, ino_t number) const;
  void take(std::string& pending);
  void take_line(std::string_view line);
  void take_head(const class LogLine& line);

  std::filesystem::path file_;
  LoggedRun run_;
  double bound_ = kNaN;                 // that U reaches, as the settings say
  std::int64_t line_ = 0, offset_ = 0;  // whole lines that were read, and their bytes
  std::size_t numbers_ = 0;             // of layers that are kept
  std::string tail_;                    // what is before `offset_`
  bool any_ = false, more_ = false;
  dev_t device_ = 0;
  ino_t number_ = 0;
};

// Logs at a path: the file itself, that of the folder, or those of the folders in it (a pair), by
// name. Empty: none.
std::vector<std::filesystem::path> training_logs(const std::filesystem::path& path);

// All of a log that is there. Errors: those of look().
LoggedRun read_training_log(const std::filesystem::path& file);

}  // namespace kappascope
