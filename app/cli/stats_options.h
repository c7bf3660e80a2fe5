// The words of `kappascope stats`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/cli/command_line.h"
#include "app/cli/intervention_options.h"
#include "app/cli/terminal.h"
#include "app/cli/texts.h"
#include "core/corpus/documents.h"

namespace kappascope {

struct StatsOptions {
  std::string model, output, tokenizer_folder;
  std::optional<std::int64_t> step;
  std::vector<std::string> corpus;  // as given
  CorpusSource source;              // files, fields, documents, sample
  std::int64_t tokens = 0;          // at most so many; 0: all
  std::int64_t call_tokens = 0;     // room of a call; 0: sequence_len
  std::uint64_t seed = 0;           // of the resamples
  std::string only;                 // "assistant": statistics are of its tokens; "": of all
  bool effect_tails = false;        // the κ effect over its largest values, too
  bool window = false, resume = false, force = false, json = false;
  InterventionOptions changes;
  ReadingOptions reading;
  ComputeOptions compute;
  TalkOptions talk;

  // Parses; false when help was asked for and printed. Wrong words, or some that do not go
  // together: usage.
  bool parse(const std::vector<std::string>& words);

 private:
  void add_to(CLI::App& app);
  void add_corpus(CLI::App& app);
  void check();
  void take_sample();

  std::string sample_;  // SEED:SHARE
  CLI::Option* text_field_ = nullptr;
};

}  // namespace kappascope
