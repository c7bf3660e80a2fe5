// One text through a loaded model into a trace file: what `run` and `selftest` share.
#pragma once

#include <filesystem>

#include "app/cli/terminal.h"
#include "core/engine.h"
#include "core/trace/recorder.h"

namespace kappascope {

// Loads the engine library at the first call. Non-finite weights: a warning that counts them, or
// with `strict` an Error (damaged).
std::unique_ptr<EngineModel> load_weights(const Model& model, const LoadOptions& options,
                                          bool strict, Terminal& terminal);

// Runs every chunk of `text` and writes the trace to `path`. Throws what stopped it.
void record_trace(const std::filesystem::path& path, const Model& model, EngineModel& loaded,
                  const TokenizedText& text, const TraceSettings& settings, Terminal& terminal);

// Debug lines: the weights' file, and what it and its meta hold that is unknown and not used.
void say_unknown(const Model& model, Terminal& terminal);

// Tokens that record_trace will run, the repeated context of chunks included.
std::uint64_t tokens_to_run(const TokenizedText& text);

}  // namespace kappascope
