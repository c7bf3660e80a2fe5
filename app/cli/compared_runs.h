// The runs that `compare` is given: traces as they are, and models run on its texts.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "app/cli/command_line.h"
#include "app/cli/output_folder.h"
#include "app/cli/terminal.h"
#include "app/cli/texts.h"
#include "core/stats/summary.h"
#include "core/trace/trace.h"

namespace kappascope {

// One run as named.
struct ComparedRun {
  std::string path;
  std::optional<std::int64_t> step = {};  // of a model folder, where one was asked for
  bool against = false;                   // of the second side
  std::vector<Trace> texts = {};          // [D] the same texts in the same order in every run
  std::optional<Trace> joined = {};       // of all texts, where there are several

  const Trace& whole() const { return joined ? *joined : texts.front(); }
};

// A trace.npz, or the folder that one run wrote, or the folder of a batch: its traces in the order
// of their folders. Empty: the path is no trace, so a model is meant.
std::vector<std::filesystem::path> trace_files(const std::string& path);

// The run was given as the result of a corpus, whatever its file is called. Errors: those of
// opening it.
bool is_of_corpus(const ComparedRun& run);

// What runs of models share.
struct RecordingWords {
  TextOptions text;
  ComputeOptions compute;
  ReadingOptions reading;
  bool window = false;
  std::string command;
};

// Fills every run with its traces, made in the folder's staging place. Texts for traces alone, or
// none for a model: usage; runs that are not of the same texts, or results of a corpus that are not
// of the same documents: usage.
void open_runs(std::vector<ComparedRun>& runs, RecordingWords& words, OutputFolder& folder,
               Terminal& terminal);

}  // namespace kappascope
