// Text → token ids with exact bytes and code-point offsets (SPEC §1.1, §4).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace kappascope {

struct Token {
  std::int32_t id = 0;
  // Code points of the text, [begin, end): a token that holds part of a character spans that
  // whole character; −1, −1 for the BOS and for ids that came without a text.
  std::int32_t char_start = -1;
  std::int32_t char_end = -1;
};

// A byte-pair tokenizer. Immutable after load; safe to use from several threads.
class Tokenizer {
 public:
  // tokenizer.pkl: one pickled tiktoken Encoding. Damaged: malformed, duplicate ranks, a byte
  // without a token; unsupported: a pattern PCRE2 does not compile; no BOS is found at encode.
  static Tokenizer load_tiktoken_pickle(const std::filesystem::path& path);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // The ids a model is fed: BOS, then the text, special tokens in it taken as plain text.
  // O(n log n) in the length of `text`, one piece or many. `text` that is no UTF-8: damaged, with
  // the offset, naming `source`. A pattern that runs into the match limit: damaged.
  std::vector<Token> encode(std::string_view text, std::string_view source = "text") const;

  // The same without the BOS.
  std::vector<Token> encode_ordinary(std::string_view text, std::string_view source = "text") const;

  // <|bos|>, or <|endoftext|> when there is none; neither: unsupported.
  std::int32_t bos() const;

  // The exact bytes of a token (a special token's name); an id without a token: empty.
  std::string_view bytes(std::int32_t id) const;
  bool is_special(std::int32_t id) const;

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
