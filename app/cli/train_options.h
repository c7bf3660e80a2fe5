// The words of `kappascope train`.
#pragma once

#include <string>
#include <vector>

#include "app/cli/terminal.h"
#include "core/train/settings.h"

namespace kappascope {

struct TrainOptions {
  TrainSettings settings;
  std::vector<std::string> texts;  // as given
  std::string tokenizer;           // a folder or a tokenizer.pkl; "": one is learned
  std::int64_t vocab = 0;          // of the tokenizer that is learned
  std::string router = "topk";
  bool text_field_given = false;
  std::string without_effect;  // options of κ that were given for a model without
  bool twin = false;           // a second model, with κ off
  std::string output, resume;
  std::string device = "auto";  // as ComputeOptions::device
  int threads = 0;
  bool force = false;
  TalkOptions talk;

  // False: help was printed. Wrong words: usage.
  bool parse(const std::vector<std::string>& words);
};

}  // namespace kappascope
