// The words of `kappascope score`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/cli/command_line.h"
#include "app/cli/intervention_options.h"
#include "app/cli/score_tasks.h"
#include "app/cli/terminal.h"

namespace kappascope {

struct ScoreOptions {
  std::string model, against_model, output, tokenizer_folder;
  std::optional<std::int64_t> step;
  TaskOptions tasks;
  InterventionOptions changes;
  ReadingOptions reading;
  ComputeOptions compute;
  TalkOptions talk;
  std::uint64_t seed = 0;  // of the resamples
  bool json = false, force = false;

  // Parses; false when help was asked for and printed. Wrong words, or some that do not go
  // together: usage.
  bool parse(const std::vector<std::string>& words);

  bool compares() const { return changes.against || !against_model.empty(); }
  // What the second run changes: the words of --against, or where none are given those of the
  // first.
  const std::vector<Intervention>& against_changes() const {
    return changes.against ? *changes.against : changes.list;
  }

 private:
  void add_to(CLI::App& app);
  void check();
};

}  // namespace kappascope
