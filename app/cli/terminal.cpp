#include "app/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include "core/error.h"
#include "core/model/model.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

constexpr double kSecondsBetweenDraws = 0.1;
constexpr double kSecondsBeforeForecast = 1;  // a rate measured for less is no forecast
constexpr int kBarWidth = 24;
constexpr int kNarrowTerminal = 60;  // columns below which the bar is left out

int terminal_columns() noexcept {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool is_plain_terminal() {
  const char* kind = std::getenv("TERM");
  return isatty(STDERR_FILENO) && kind && std::string_view(kind) != "dumb";
}

void write_line(std::string_view kind, std::string_view line) {
  const std::string text = join_words("kappascope: ", kind, printable(line), "\n");
  (void)!write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

bool print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) { continue; }
    if (written < 0 && errno == EPIPE) { return false; }
    require(written >= 0, ExitCode::io, {.file = "standard output"},
            std::generic_category().message(errno));
    text.remove_prefix(std::size_t(written));
  }
  return true;
}

std::string json_text(const Json& document) {
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::int64_t display_width(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

std::string rate_text(double tokens, double seconds) {
  char text[64];
  std::snprintf(text, sizeof text, "%.4g tokens/s", tokens / seconds);
  return text;
}

void fill_bar(std::span<char> bar, double share) noexcept {
  const auto done = std::ptrdiff_t(share * double(bar.size()));
  std::fill(std::fill_n(bar.begin(), done, '#'), bar.end(), '.');
}

std::string bold(std::string_view text) {
  const char* no_color = std::getenv("NO_COLOR");
  if (!isatty(STDOUT_FILENO) || (no_color && *no_color)) { return std::string(text); }
  return join_words("\033[1m", text, "\033[0m");
}

void TalkOptions::add_to(CLI::App& app) {
  app.add_flag("-q,--quiet", quiet, "print errors only, and data if asked for");
  app.add_flag("-v,--verbose", verbose, "say more on standard error");
}

Terminal::Terminal(Talk talk, const Interrupts& interrupts)
    : talk_(talk), interrupts_(interrupts), shown_(talk != Talk::quiet && is_plain_terminal()) {}

bool Terminal::update(Stage stage, std::uint64_t done, std::uint64_t total) noexcept {
  if (interrupts_.requested()) { return false; }
  if (!shown_ || total == 0) { return true; }
  const Clock::time_point now = Clock::now();
  if (stage != stage_) {
    stage_ = stage;
    stage_start_ = now;
    stage_first_ = double(done);
  }
  if (std::chrono::duration<double>(now - last_drawn_).count() < kSecondsBetweenDraws) {
    return true;
  }
  last_drawn_ = now;
  try {
    draw(stage, double(std::min(done, total)), double(total),
         std::chrono::duration<double>(now - stage_start_).count());
  } catch (...) {  // no memory for a line: the work goes on
  }
  return true;
}

void Terminal::draw(Stage stage, double done, double total, double seconds) {
  const double fraction = done / total, gained = done - stage_first_;
  char bar[kBarWidth + 1] = {};
  fill_bar({bar, kBarWidth}, fraction);
  std::string rate, left;
  if (seconds >= kSecondsBeforeForecast && gained > 0) {
    if (stage == Stage::prefill) { rate = "  " + rate_text(gained, seconds); }
    left = "  " + duration_text(seconds * (total - done) / gained) + " left";
  }
  char line[128];
  if (terminal_columns() < kNarrowTerminal) {
    std::snprintf(line, sizeof line, "%s %3.0f %%", stage_title(stage), 100 * fraction);
    return put(line + left);
  }
  std::snprintf(line, sizeof line, "%-15s [%s] %3.0f %%", stage_title(stage), bar, 100 * fraction);
  put(line + rate + left);
}

void Terminal::show(std::string_view line, bool at_once) {
  const Clock::time_point now = Clock::now();
  const double since = std::chrono::duration<double>(now - last_drawn_).count();
  if (!shown_ || (!at_once && since < kSecondsBetweenDraws)) { return; }
  last_drawn_ = now;
  put(line);
}

// In place of the line that is there, cut to the terminal's width.
void Terminal::put(std::string_view line) {
  const auto columns = std::int64_t(terminal_columns() - 1);
  while (display_width(line) > columns) { line.remove_suffix(1); }
  while (!is_utf8(line)) { line.remove_suffix(1); }
  const std::string out = join_words("\r", line, "\033[K");
  line_open_ = write(STDERR_FILENO, out.data(), out.size()) > 0;
}

void Terminal::erase() noexcept {
  if (!line_open_) { return; }
  (void)!write(STDERR_FILENO, "\r\033[K", 4);
  line_open_ = false;
}

void Terminal::error(std::string_view line) {
  erase();
  write_line("", line);
}

void Terminal::warn(std::string_view line) {
  if (talk_ == Talk::quiet) { return; }
  erase();
  write_line("warning: ", line);
}

void Terminal::say(std::string_view line) {
  if (talk_ == Talk::quiet) { return; }
  erase();
  write_line("", line);
}

void Terminal::warn_once(const std::string& line) {
  if (warned_.insert(line).second) { warn(line); }
}

void Terminal::debug(std::string_view line) {
  if (talk_ != Talk::verbose) { return; }
  erase();
  write_line("debug: ", line);
}

void say_unknown(const Model& model, Terminal& terminal) {
  terminal.debug(join_words("weights ", model.files.weights.string()));
  for (const std::string& missing : model.files.missing_of_newer) {
    terminal.warn(describe(
        {.file = (model.files.weights.parent_path() / missing).native()},
        join_words("is missing: its step is left out, step ", *model.files.step, " is used")));
  }
  for (const std::string& warning : model.warnings) { terminal.warn(warning); }
  for (const std::string& finding : model.findings) { terminal.debug(finding); }
  for (const std::string& note : model.notes) { terminal.debug(note); }
  for (const std::string& field : model.unknown_fields) {
    terminal.debug(join_words("model_config.", field, " is unknown and not used"));
  }
  for (const std::string& tensor : model.unknown_tensors) {
    terminal.debug(join_words("tensor ", tensor, " is unknown and not used"));
  }
}

}  // namespace kappascope
