// The output logits of a run, kept on disk while another run of the same text is compared with it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/engine/probe.h"

namespace kappascope {

// KL(p ‖ q) in nats of two distributions given by their logits [V]; NaN where a logit is not a
// number.
double kl_divergence(const float* p_logits, const float* q_logits, std::int64_t vocab);

class LogitsFile {
 public:
  // [tokens,V], in a file of `folder` without a name, which ends with the object. Errors: io.
  LogitsFile(const std::filesystem::path& folder, std::int64_t tokens, std::int64_t vocab);
  ~LogitsFile();
  LogitsFile(const LogitsFile&) = delete;
  LogitsFile& operator=(const LogitsFile&) = delete;

  void keep(const NextTokenTap& tap);
  // KL(kept ‖ the tap's) of each row of the tap.
  std::vector<float> divergence(const NextTokenTap& tap) const;

 private:
  std::string folder_;  // for messages
  std::int64_t vocab_;
  int descriptor_ = -1;
};

}  // namespace kappascope
