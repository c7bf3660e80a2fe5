#include "app/cli/run_files.h"

#include "core/trace/npz.h"
#include "core/trace/output_file.h"
#include "core/trace/recorder.h"
#include "core/trace/tables.h"

namespace kappascope {
namespace {}  // namespace

Trace open_with_parameters(const OutputFolder& folder, const std::filesystem::path& path,
                           const Model& model, const OutputOptions& options) {
  const std::filesystem::path model_path = folder.staged(kModelFile);
  const auto write = [&] {
    write_model_parameters(model_path, model);
    if (options.compress) { compress_npz(model_path); }
  };
  if (options.force && !std::filesystem::exists(model_path)) { write(); }
  Trace trace = open_trace(path);
  if (!trace.model) {
    write();
    find_parameters(trace);
  }
  return trace;
}

void write_tables(const OutputFolder& folder, const Trace& trace, const Json& summary,
                  const OutputOptions& options) {
  if (folder.temporary()) { return; }
  if (options.writes("csv")) {
    write_tokens_csv(folder.staged(kTokensFile), trace);
    write_routing_csv(folder.staged(kRoutingFile), trace);
  }
  if (options.writes("json")) { write_file(folder.staged(kSummaryFile), json_text(summary)); }
}

std::vector<std::string> write_pictures(const OutputFolder& folder, const Trace& trace,
                                        const OutputOptions& options, Progress& progress,
                                        Terminal& terminal) {
  std::vector<std::string> names;
  if (folder.temporary() || options.figures.ids == "none") { return names; }
  const std::filesystem::path place = folder.staged(kFiguresFolder);
  std::filesystem::create_directory(place);
  const Trace* const traces[] = {&trace};
  const FigureHooks hooks{.say = [&](const std::string& line) { terminal.warn_once(line); },
                          .refuse = false};
  for (const std::string& name : write_figures(options.figures, traces, place, progress, hooks)) {
    names.push_back(join_words(kFiguresFolder, "/", name));
  }
  return names;
}

Effect write_effect(const OutputFolder& folder, const Trace& trace,
                    const std::vector<LayerSummary>& layers, const Model& model,
                    const OutputOptions& options, std::vector<std::string>& files) {
  const std::filesystem::path other_path = folder.staged(kAgainstFolder) / kTraceFile;
  const Trace other = open_with_parameters(folder, other_path, model, options);
  Effect effect = effect_of(trace, layers, other, summarise(other));
  if (folder.temporary()) { return effect; }
  if (options.writes("json")) {
    write_file(folder.staged(kEffectJson), json_text(effect.document));
  }
  if (options.writes("csv")) {
    write_effect_csv(folder.staged(kEffectCsv), trace, other);
    files.push_back(kEffectCsv);
  }
  if (options.compress) { compress_npz(other_path); }
  return effect;
}

}  // namespace kappascope
