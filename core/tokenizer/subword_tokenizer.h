// Encodes texts as a tokenizer.json or tokenizer.model says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/token.h"
#include "core/tokenizer/tokenizer_file.h"

namespace kappascope {

// Immutable; safe to use from several threads.
class SubwordTokenizer {
 public:
  explicit SubwordTokenizer(TokenizerFile file);

  // The tokens of `text`, valid UTF-8 below 2 GiB, without those that the template adds. A token of
  // nothing but what a normalizer puts in is at an empty place.
  std::vector<Token> encode(std::string_view text, std::string_view source) const;

  const std::vector<std::int32_t>& prefix() const { return file_.prefix; }
  const std::vector<std::int32_t>& suffix() const { return file_.suffix; }

  // The first of the prefix; without one: unsupported.
  std::int32_t bos() const;

  std::string_view bytes(std::int32_t id) const;  // empty when no token has the id
  bool is_special(std::int32_t id) const;
  std::optional<std::int32_t> special(std::string_view name) const;
  std::int32_t size() const;  // one more than the highest id
  std::string_view name() const;

 private:
  // What is written for a token of each id that there is.
  struct Spelled {
    std::int32_t id = 0;
    bool special = false;
    std::string bytes;
  };
  class Encoder;
  void spell_tokens();
  void index_added();
  const Spelled* find(std::int32_t id) const;

  TokenizerFile file_;  // without the model
  SubwordModel model_;
  AddedTokenFinder plain_, normalized_;  // those found in the text, and in the normalized text
  std::vector<Spelled> spelled_;         // ascending by id
};

}  // namespace kappascope
