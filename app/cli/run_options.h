// The words of `kappascope run`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/cli/command_line.h"
#include "app/cli/fail_if.h"
#include "app/cli/intervention_options.h"
#include "app/cli/output_options.h"
#include "app/cli/terminal.h"
#include "app/cli/texts.h"
#include "core/trace/recorder.h"

namespace kappascope {

struct RunOptions : OutputOptions {
  std::string model, layers, compare_routes, record = "summary";
  std::optional<std::int64_t> step;
  TextOptions text;
  ComputeOptions compute;
  ReadingOptions reading;
  std::string only;  // "assistant": statistics are of its tokens; "": of all
  bool logits = false, lens = false, window = false, json = false;
  TalkOptions talk;
  Thresholds thresholds;
  bool skip_done = false;

  InterventionOptions changes;

  std::vector<std::string> recorded;  // of `record`
  std::vector<std::string> settings;  // the words given but those of texts and of the output folder

  // Parses; false when help was asked for and printed. Wrong words, or some that do not go
  // together: usage.
  bool parse(const std::vector<std::string>& words);

  bool records(std::string_view kind) const;

  // Files of one text, as asked for, without figures.
  std::vector<std::string> file_names() const;

  TraceSettings trace_settings(const Model& of) const;

  // What decides about the numbers of every text: a batch continues only where it is the same.
  // `chat`: how texts that are chats are rendered; nullptr: they are none.
  Json identity(const Model& of, const ChatFormat* chat) const;

  // The command for the file of `item` alone, into `folder` of the output folder.
  std::string command_of(const TextItem& item, const std::string& folder) const;

 private:
  void add_to(CLI::App& app);
  void add_interventions(CLI::App& app);
  void check();
};

}  // namespace kappascope
