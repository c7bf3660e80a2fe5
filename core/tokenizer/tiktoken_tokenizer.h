// Encodes texts with a tiktoken encoding (SPEC §1.1).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/splitter.h"
#include "core/tokenizer/tiktoken_pickle.h"
#include "core/tokenizer/token.h"
#include "core/tokenizer/vocabulary.h"

namespace kappascope {

// Immutable; safe to use from several threads.
class TiktokenTokenizer {
 public:
  // `file` is for messages.
  TiktokenTokenizer(TiktokenEncoding encoding, std::string file);

  // The tokens of `text`, valid UTF-8 below 2 GiB, special tokens in it taken as plain text;
  // without the BOS. O(n log n) in the length of `text`, one piece or many.
  std::vector<Token> encode(std::string_view text, std::string_view source) const;

  // <|bos|>, or <|endoftext|> when there is none; neither: unsupported.
  std::int32_t bos() const;

  std::string_view bytes(std::int32_t id) const;  // empty when no token has the id
  bool is_special(std::int32_t id) const;
  std::optional<std::int32_t> special(std::string_view name) const;
  std::int32_t size() const;  // one more than the highest id
  std::string_view name() const { return name_; }

 private:
  struct SpecialToken {
    std::string text;
    std::int32_t id = 0;
  };
  const SpecialToken* find_special(std::int32_t id) const;

  std::string file_;
  std::string name_;
  Vocabulary vocabulary_;
  Splitter splitter_;
  std::vector<SpecialToken> specials_;
};

}  // namespace kappascope
