#include "core/trace/logits_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <system_error>

#include "core/error.h"
#include "core/nan.h"
#include "core/trace/output_file.h"

namespace kappascope {
namespace {

// ln Σ e^x.
double log_sum(const float* logits, std::int64_t vocab) {
  const double highest = *std::max_element(logits, logits + vocab);
  double sum = 0;
  for (std::int64_t v = 0; v < vocab; ++v) { sum += std::exp(double(logits[v]) - highest); }
  return highest + std::log(sum);
}

[[noreturn]] void fail_io(const std::string& folder, std::string_view what) {
  fail(ExitCode::io, {.file = folder}, what, ": ", std::generic_category().message(errno));
}

}  // namespace

double kl_divergence(const float* p_logits, const float* q_logits, std::int64_t vocab) {
  const double p_sum = log_sum(p_logits, vocab), q_sum = log_sum(q_logits, vocab);
  double divergence = 0;
  for (std::int64_t v = 0; v < vocab; ++v) {
    const double p = double(p_logits[v]) - p_sum, q = double(q_logits[v]) - q_sum;
    const double share = std::exp(p);
    if (share != 0) { divergence += share * (p - q); }  // 0·ln 0 = 0
  }
  return divergence < 0 ? 0 : divergence;  // by rounding
}

LogitsFile::LogitsFile(const std::filesystem::path& folder, std::int64_t tokens, std::int64_t vocab)
    : folder_(folder.native()), vocab_(vocab) {
  std::string name = (folder / "logits-XXXXXX").native();
  descriptor_ = mkostemp(name.data(), O_CLOEXEC);
  if (descriptor_ < 0) { fail_io(folder_, "cannot make a file for the logits"); }
  unlink(name.c_str());
  const int error = reserve_room(descriptor_, std::uint64_t(tokens * vocab * 4));
  if (error == 0) { return; }
  close(descriptor_);
  errno = error;
  fail_io(folder_, join_words("no room for ", tokens * vocab * 4, " bytes of logits"));
}

LogitsFile::~LogitsFile() {
  close(descriptor_);
}

void LogitsFile::keep(const NextTokenTap& tap) {
  const char* bytes = reinterpret_cast<const char*>(tap.logits);
  std::int64_t left = tap.tokens * vocab_ * 4, at = tap.first_token * vocab_ * 4;
  while (left > 0) {
    const ssize_t done = pwrite(descriptor_, bytes, std::size_t(left), off_t(at));
    if (done < 0 && errno == EINTR) { continue; }
    if (done <= 0) { fail_io(folder_, "cannot write the logits"); }
    bytes += done;
    at += done;
    left -= done;
  }
}

std::vector<float> LogitsFile::divergence(const NextTokenTap& tap) const {
  std::vector<float> kept(std::size_t(vocab_), 0.0f), result;
  for (std::int64_t r = 0; r < tap.tokens; ++r) {
    char* bytes = reinterpret_cast<char*>(kept.data());
    std::int64_t left = vocab_ * 4, at = (tap.first_token + r) * vocab_ * 4;
    while (left > 0) {
      const ssize_t done = pread(descriptor_, bytes, std::size_t(left), off_t(at));
      if (done < 0 && errno == EINTR) { continue; }
      if (done <= 0) { fail_io(folder_, "cannot read the logits"); }
      bytes += done;
      at += done;
      left -= done;
    }
    result.push_back(float(kl_divergence(kept.data(), tap.logits + r * vocab_, vocab_)));
  }
  return result;
}

}  // namespace kappascope
