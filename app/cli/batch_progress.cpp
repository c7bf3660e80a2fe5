#include "app/cli/batch_progress.h"

#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "core/tokenizer/tokenizer.h"

namespace kappascope {
namespace {

constexpr int kColumnsOfBar = 16;

}  // namespace

BatchProgress::BatchProgress(Terminal& terminal, std::size_t texts, std::uint64_t tokens)
    : terminal_(terminal), texts_(texts), tokens_(tokens) {}

double BatchProgress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

// ", 1289 tokens/s, 0:42 left"; nothing before anything was measured.
std::string BatchProgress::forecast(std::uint64_t done) const {
  const double elapsed = seconds();
  if (done == 0 || elapsed <= 0) { return ""; }
  const double left = elapsed * double(tokens_ - std::min(done, tokens_)) / double(done);
  return join_words(", ", rate_text(double(done), elapsed), ", ", duration_text(left), " left");
}

void BatchProgress::begin(std::size_t text, const std::string& source) {
  text_ = text;
  source_ = printable(display_text(source));
  draw(done_, true);
}

void BatchProgress::end(std::int64_t text_tokens, std::uint64_t run_tokens) {
  done_ += run_tokens;
  if (terminal_.shows_progress()) { return; }
  terminal_.say(join_words(text_, " of ", texts_, ": ", source_, ": ", text_tokens,
                           text_tokens == 1 ? " token" : " tokens", forecast(done_)));
}

void BatchProgress::skip(std::uint64_t run_tokens) {
  tokens_ -= std::min(tokens_, run_tokens);
}

bool BatchProgress::update(Stage stage, std::uint64_t done, std::uint64_t total) noexcept {
  if (stage == Stage::prefill && total > 0) {
    try {
      draw(done_ + done, false);
    } catch (...) {  // no memory for a line: the work goes on
    }
  }
  return !terminal_.asked_to_stop();
}

void BatchProgress::draw(std::uint64_t done, bool at_once) {
  if (!terminal_.shows_progress()) { return; }
  const double share = tokens_ == 0 ? 1 : std::min(1.0, double(done) / double(tokens_));
  char bar[kColumnsOfBar + 1] = {};
  fill_bar({bar, kColumnsOfBar}, share);
  terminal_.show(join_words(text_, " of ", texts_, " [", bar, "] ", int(100 * share), " %",
                            forecast(done), "  ", source_),
                 at_once);
}

std::string Tally::text() const {
  std::string text = join_words(done, " of ", texts, " texts done");
  if (skipped > 0) { text += join_words(", ", skipped, " of them before"); }
  if (failed > 0) { text += join_words("; ", failed, " failed", indexed ? ", see index.csv" : ""); }
  if (seconds > 0 && tokens > 0) {
    char time[32];
    std::snprintf(time, sizeof time, "%.1f s", seconds);
    text += join_words("; ", tokens, " tokens in ", time, ", ", rate_text(double(tokens), seconds));
  }
  return text;
}

}  // namespace kappascope
