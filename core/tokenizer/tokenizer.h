// Text → token ids with exact bytes and code-point offsets (SPEC §1.1, §4).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/tokenizer/token.h"

namespace kappascope {

// A byte-pair tokenizer. Immutable after load; safe to use from several threads.
class Tokenizer {
 public:
  // By its name: tokenizer.json of Hugging Face or tokenizer.model of SentencePiece, each with a
  // tokenizer_config.json beside it where there is one; any other is a tokenizer.pkl.
  static Tokenizer load(const std::filesystem::path& path);
  // Of the bytes of all files that load(path) reads: where it is the same, so are all ids.
  static std::string files_sha256(const std::filesystem::path& path);

  // tokenizer.pkl: one pickled tiktoken Encoding. Damaged: malformed, duplicate ranks, a byte
  // without a token; unsupported: a pattern PCRE2 does not compile; no BOS is found at encode.
  static Tokenizer load_tiktoken_pickle(const std::filesystem::path& path);

  // Damaged: malformed, or contradicts itself; unsupported, by name: a component or a model of
  // another kind than byte-pair merges. `config`: tokenizer_config.json, may be missing or "".
  static Tokenizer load_json(const std::filesystem::path& path,
                             const std::filesystem::path& config = {});
  static Tokenizer load_sentencepiece(const std::filesystem::path& path,
                                      const std::filesystem::path& config = {});

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // The ids a model is fed. tiktoken: BOS, then the text, special tokens in it taken as plain text;
  // the others: as the file's template says, special tokens in the text are found.
  // O(n log n) in the length of `text`, one piece or many. `text` that is no UTF-8: damaged, with
  // the offset, naming `source`. A pattern that runs into the match limit: damaged.
  std::vector<Token> encode(std::string_view text, std::string_view source = "text") const;

  // The same without the BOS and what else is put in front or behind.
  std::vector<Token> encode_ordinary(std::string_view text, std::string_view source = "text") const;

  // What is put in front of a text; nothing: unsupported. tiktoken: <|bos|>, or <|endoftext|> when
  // there is none.
  std::int32_t bos() const;

  // The exact bytes that a token stands for (a special token's name); an id without a token: empty.
  std::string_view bytes(std::int32_t id) const;
  bool is_special(std::int32_t id) const;

  // The special token of this name; none has it: nothing.
  std::optional<std::int32_t> special(std::string_view name) const;

  // One more than the highest id.
  std::int32_t size() const;
  std::string_view name() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Bytes as shown to people: valid UTF-8 as it is, every other byte and NUL as \xNN.
std::string display_text(std::string_view bytes);

std::string hex_text(std::string_view bytes);  // lower case, two digits a byte

}  // namespace kappascope
