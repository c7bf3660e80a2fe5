// One text through a model into a trace file: what the verbs and the window share.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "core/chat/chat_format.h"
#include "core/engine/engine.h"
#include "core/engine/progress.h"
#include "core/trace/recorder.h"

namespace kappascope {

// A text with where it came from, for messages: "prompt", "standard input" or the file.
struct SourceText {
  std::string source;
  std::string text;
};

// The tokenizer's file: as find_tokenizer, but where it is missing and no folder was named,
// nothing.
std::optional<std::filesystem::path> tokenizer_if_any(const Model& model,
                                                      const std::string& folder);

// Token ids with their exact bytes (none without a tokenizer), cut to `max_tokens` when that is
// > 0.
TokenizedText with_bytes(std::vector<Token> tokens, const Tokenizer* tokenizer,
                         std::int64_t max_tokens);

// What the model is fed: BOS and the text's tokens, cut to `max_tokens` when that is > 0. An id
// outside the model's vocabulary: unsupported, naming its position.
TokenizedText tokenize(const SourceText& text, const Tokenizer& tokenizer, const Model& model,
                       std::int64_t max_tokens);
// Of token ids: nothing is put in front, and bytes are those of `tokenizer` where there is one.
TokenizedText tokens_of_ids(const std::vector<std::int64_t>& ids, const std::string& source,
                            const Tokenizer* tokenizer, const Model& model,
                            std::int64_t max_tokens);
// The same as tokenize() of a chat (ChatFormat::render()), with which tokens are the assistant's.
TokenizedText tokenize_chat(const SourceText& text, const ChatFormat& format,
                            const Tokenizer& tokenizer, const Model& model, std::int64_t max_tokens,
                            ChatUse use = ChatUse::whole);
void check_id(std::int64_t id, std::size_t position, const Model& model, const std::string& source);

// Fills text.chunks: one call of the model, or, with `window`, calls of sequence_len tokens that
// begin half of that before the first token not yet recorded. Too long without `window`:
// unsupported, with both counts.
void cut_into_chunks(TokenizedText& text, std::int64_t sequence_len, bool window,
                     const std::string& source);

// Loads the engine library at the first call. Throws what stopped it.
std::unique_ptr<EngineModel> load_weights(const Model& model, const LoadOptions& options,
                                          Progress& progress);

// As load_weights; where a GPU cannot be used, or with `smaller` its memory is too little, on the
// CPU instead: `options` then says so, and `note` is one line with the reason, else "".
std::unique_ptr<EngineModel> load_weights_somewhere(const Model& model, LoadOptions& options,
                                                    Progress& progress, std::string& note,
                                                    bool smaller = true);

// One line that counts the NaN and infinite weights and names their tensors; "" without any.
std::string nonfinite_weights(const Model& model, const EngineModel& loaded);

// Turns the progress "prefill" of one call of the model into tokens done of all that will be run.
class TokenProgress final : public Progress {
 public:
  TokenProgress(Progress& progress, std::uint64_t all) : progress_(progress), all_(all) {}
  void begin_call(std::uint64_t tokens);
  bool update(Stage stage, std::uint64_t done, std::uint64_t total) noexcept override;

 private:
  Progress& progress_;
  std::uint64_t all_, before_ = 0, call_ = 0;
};

std::vector<std::int32_t> ids_of(const TokenizedText& text);

// Tokens that record_trace will run, the repeated context of chunks included.
std::uint64_t tokens_to_run(const TokenizedText& text);

// Runs every chunk of `text`; what stopped it is returned.
Failure run_chunks(const RunPlan& plan, EngineModel& loaded, const TokenizedText& text,
                   Probe& probe, TokenProgress& progress);

// Runs of one text by plans that act from one layer on: what comes before that layer runs once for
// all of them.
class SharedStart {
 public:
  // run_chunks of a plan that acts from `layer` on, at or behind those of the runs before.
  Failure run(std::int64_t layer, const RunPlan& plan, EngineModel& loaded,
              const TokenizedText& text, Probe& probe, TokenProgress& progress);

 private:
  std::int64_t layer_ = -1;       // where from_ is; −1: at the start
  std::vector<StackPlace> from_;  // for each chunk; empty: the start
};

// Runs every chunk of `text` and writes the trace to `path`. Throws what stopped it.
void record_trace(const std::filesystem::path& path, const Model& model, const RunPlan& plan,
                  EngineModel& loaded, const TokenizedText& text, const TraceSettings& settings,
                  TokenProgress& progress);

}  // namespace kappascope
