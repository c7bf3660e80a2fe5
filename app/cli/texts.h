// From the words of the command line to token ids: -p, -f, --ids, --max-tokens, --window.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "app/run_text.h"
#include "core/model/model.h"
#include "core/tokenizer/tokenizer.h"

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

}  // namespace kappascope
