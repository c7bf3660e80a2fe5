// The words of `kappascope train`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/cli/terminal.h"
#include "core/train/settings.h"

namespace kappascope {

// A second model, which differs in κ or in its router alone.
enum class Twin : std::uint8_t { none, kappa, router };

struct TrainOptions {
  TrainSettings settings;
  std::vector<std::string> texts;  // as given
  std::string tokenizer;           // a folder or a tokenizer.pkl; "": one is learned
  std::int64_t vocab = 0;          // of the tokenizer that is learned
  bool text_field_given = false;
  std::string without_effect;  // options of κ that were given for a model without
  Twin twin = Twin::none;
  std::string output, resume;
  std::string device = "auto";  // as ComputeOptions::device
  int threads = 0;
  bool force = false;
  TalkOptions talk;

  bool has_soft() const { return settings.is_soft() || twin == Twin::router; }
  // False: help was printed. Wrong words: usage.
  bool parse(const std::vector<std::string>& words);
};

}  // namespace kappascope
