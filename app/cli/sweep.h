// What verbs share that try many places of a model on one text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/cli/command_line.h"
#include "app/cli/figure_options.h"
#include "app/cli/output_folder.h"
#include "app/cli/terminal.h"
#include "app/cli/texts.h"
#include "core/checkpoint/json.h"
#include "core/trace/trace.h"

namespace kappascope {

// The words of such a verb about its text, its model and its output.
struct SweepWords {
  std::string model, output;
  std::optional<std::int64_t> step;
  TextOptions text;
  ComputeOptions compute;
  ReadingOptions reading;
  FigureOptions figures;
  TalkOptions talk;
  bool resume = false, force = false, json = false;

  void add_text_to(CLI::App& app);  // MODEL, the text, -o
  // --resume, figures (`figure` unless others are asked for), reading, device, --json, --force
  void add_rest_to(CLI::App& app, const char* figure, const char* json_help);
  // Errors: usage. `verb` as people call it.
  void check(const char* verb);
};

// The text, in chunks. One token alone has no loss: unsupported.
TokenizedText read_sweep_text(SweepWords& words, const TextTokenizer* tokenizer, const Model& model,
                              bool window, Terminal& terminal);

// What decides about every number of a sweep: model, reading, text.
Json sweep_identity(const SweepWords& words, const Model& model, const TokenizedText& text);

// Makes the figures of the trace that is staged, and publishes it with `files` and, where it needs
// one, model.npz.
void publish_sweep(const SweepWords& words, const Model& model, Trace& trace,
                   std::vector<std::string> files, OutputFolder& folder, Terminal& terminal);

}  // namespace kappascope
