// The words of `kappascope generate`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/cli/command_line.h"
#include "app/cli/intervention_options.h"
#include "app/cli/output_options.h"
#include "app/cli/terminal.h"
#include "app/cli/texts.h"
#include "app/generation.h"

namespace kappascope {

struct GenerateOptions : OutputOptions {
  std::string model, layers;
  TextOptions text;
  GenerationRules rules;
  std::optional<std::int64_t> step;
  ComputeOptions compute;
  ReadingOptions reading;
  InterventionOptions changes;
  TalkOptions talk;
  bool json = false;

  // Parses; false when help was asked for and printed. Wrong words: usage.
  bool parse(const std::vector<std::string>& words);

  // Without -o nothing is recorded: no layers.
  TraceSettings trace_settings(const Model& of) const;

 private:
  void add_to(CLI::App& app);
  void add_sampling(CLI::App& app);
  void check();
  std::string file_, ids_;
};

}  // namespace kappascope
