// What people see: data on standard output, everything else on standard error.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "app/cli/interrupts.h"
#include "core/checkpoint/json.h"
#include "core/engine/progress.h"

namespace kappascope {

struct Model;

// Writes data to standard output at once. A reader that went away (head) is no error; a full disk
// is (io). False: the reader has gone.
bool print(std::string_view text);

// A document as printed and written: sorted keys, two spaces, a line break at the end.
std::string json_text(const Json& document);

// Code points of valid UTF-8: columns on a terminal for the scripts that we print ourselves.
std::int64_t display_width(std::string_view text);

std::string rate_text(double tokens, double seconds);  // "1289 tokens/s"

// '#' in the first `share` (0 to 1) of a bar, '.' in what is left of it.
void fill_bar(std::span<char> bar, double share) noexcept;

// `text` in bold when standard output is a terminal and NO_COLOR is not set.
std::string bold(std::string_view text);

enum class Talk : std::uint8_t { quiet, normal, verbose };

// -q and -v of every verb.
struct TalkOptions {
  bool quiet = false, verbose = false;
  void add_to(CLI::App& app);
  Talk talk() const { return quiet ? Talk::quiet : verbose ? Talk::verbose : Talk::normal; }
};

// Messages and the progress line on standard error. The line appears on a terminal only, at most
// ten times a second, and is erased before anything else is written.
class Terminal final : public Progress {
 public:
  Terminal(Talk talk, const Interrupts& interrupts);
  ~Terminal() override { erase(); }

  // False once the user asked to stop.
  bool update(Stage stage, std::uint64_t done, std::uint64_t total) noexcept override;

  void error(std::string_view line);        // always
  void warn(std::string_view line);         // not when quiet
  void warn_once(const std::string& line);  // of what is the same for many texts
  void debug(std::string_view line);        // when verbose
  void say(std::string_view line);          // what a run did, not when quiet
  void erase() noexcept;

  bool asked_to_stop() const noexcept { return interrupts_.requested(); }
  bool shows_progress() const noexcept { return shown_; }
  // A progress line of the caller's, cut to the terminal's width; drawn now, or when the last one
  // is old enough.
  void show(std::string_view line, bool at_once);

 private:
  using Clock = std::chrono::steady_clock;
  void draw(Stage stage, double done, double total, double seconds);
  void put(std::string_view line);

  Talk talk_;
  const Interrupts& interrupts_;
  bool shown_ = false;      // a progress line may be shown at all
  bool line_open_ = false;  // one is on the terminal now
  std::set<std::string> warned_;
  std::optional<Stage> stage_;
  double stage_first_ = 0;  // steps of the stage that were done when its clock started
  Clock::time_point stage_start_, last_drawn_;
};

// Debug lines: the weights' file, and what it and its meta hold that is unknown and not used. A
// warning where a newer step is incomplete.
void say_unknown(const Model& model, Terminal& terminal);

}  // namespace kappascope
