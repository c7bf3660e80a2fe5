#include "app/cli/run_text.h"

namespace kappascope {

std::unique_ptr<EngineModel> load_weights(const Model& model, const LoadOptions& options,
                                          bool strict, Terminal& terminal) {
  std::unique_ptr<EngineModel> loaded;
  const Failure failure = engine(options.device).load(model, options, terminal, loaded);
  terminal.erase();
  if (failure) throw Error(failure);
  if (*loaded->description()) terminal.debug(loaded->description());
  const std::uint64_t nonfinite = loaded->nonfinite_weights();
  if (nonfinite == 0) return loaded;
  const std::string what = describe(
      {.file = model.files.weights.native()},
      join_words(nonfinite, " weights are NaN or infinite, in ", loaded->nonfinite_tensors()));
  if (strict) throw Error(ExitCode::damaged, what);
  terminal.warn(what);
  return loaded;
}

void record_trace(const std::filesystem::path& path, const Model& model, EngineModel& loaded,
                  const TokenizedText& text, const TraceSettings& settings, Terminal& terminal) {
  std::vector<std::int32_t> ids;
  for (const Token& token : text.tokens) ids.push_back(token.id);
  const std::int64_t tokens = std::int64_t(ids.size());
  const ForwardOptions options{.kappa = settings.kappa, .capacity = settings.capacity};
  TraceRecorder recorder(path, model, text, settings);
  for (const TextChunk& chunk : text.chunks) {
    terminal.begin_call(std::uint64_t(chunk.end - chunk.begin));
    ForwardCall call;
    call.ids =
        std::span(ids).subspan(std::size_t(chunk.begin), std::size_t(chunk.end - chunk.begin));
    call.text_offset = chunk.begin;
    call.first_recorded = chunk.first_recorded - chunk.begin;
    call.next_id = chunk.end < tokens ? ids[std::size_t(chunk.end)] : -1;
    const Failure failure = loaded.forward(call, options, recorder, terminal);
    if (recorder.failure()) throw Error(recorder.failure());
    if (failure) throw Error(failure);
  }
  terminal.erase();
  recorder.finish();
}

void say_unknown(const Model& model, Terminal& terminal) {
  terminal.debug(join_words("weights ", model.files.weights.string()));
  for (const std::string& field : model.config.unknown_fields)
    terminal.debug(join_words("model_config.", field, " is unknown and not used"));
  for (const std::string& tensor : model.unknown_tensors)
    terminal.debug(join_words("tensor ", tensor, " is unknown and not used"));
}

std::uint64_t tokens_to_run(const TokenizedText& text) {
  std::uint64_t tokens = 0;
  for (const TextChunk& chunk : text.chunks) tokens += std::uint64_t(chunk.end - chunk.begin);
  return tokens;
}

}  // namespace kappascope
