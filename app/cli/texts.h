// From the words of the command line to token ids: -p, -f, --ids, --max-tokens, --window.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/model/model.h"
#include "core/tokenizer/tokenizer.h"
#include "core/trace/recorder.h"

namespace kappascope {

struct TextOptions {
  std::optional<std::string> prompt;
  std::vector<std::string> files;  // "-": standard input
  std::string ids_file;
  std::int64_t max_tokens = 0;  // 0: all
  std::string tokenizer_folder;

  void add_to(CLI::App& app);  // -p, -f, --ids, --max-tokens, --tokenizer
  // Exactly one of -p, -f, --ids, and standard input once: else usage.
  void check() const;
  // The tokenizer of the model, or that of --tokenizer. Ids do without one where none is found.
  std::optional<Tokenizer> open_tokenizer(const Model& model) const;
  // What the model is fed of -p, --ids or the file `source` of -f, cut to --max-tokens.
  TokenizedText read(const std::string& source, const Tokenizer* tokenizer,
                     const Model& model) const;
};

// A text with where it came from, for messages: "prompt", "standard input" or the file.
struct SourceText {
  std::string source;
  std::string text;
};

// The tokenizer's file: as find_tokenizer, but where it is missing and no folder was named,
// nothing.
std::optional<std::filesystem::path> tokenizer_if_any(const Model& model,
                                                      const std::string& folder);

// What the model is fed: BOS and the text's tokens, cut to `max_tokens` when that is > 0. An id
// outside the model's vocabulary: unsupported, naming its position.
TokenizedText tokenize(const SourceText& text, const Tokenizer& tokenizer, const Model& model,
                       std::int64_t max_tokens);

// Fills text.chunks: one call of the model, or, with `window`, calls of sequence_len tokens that
// begin half of that before the first token not yet recorded. Too long without `window`:
// unsupported, with both counts.
void cut_into_chunks(TokenizedText& text, std::int64_t sequence_len, bool window,
                     const std::string& source);

}  // namespace kappascope
