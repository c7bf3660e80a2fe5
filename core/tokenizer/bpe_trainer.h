// Learns the merges of a byte-pair tokenizer from texts.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/tiktoken_pickle.h"

namespace kappascope {

class BpeTrainer {
 public:
  BpeTrainer();
  ~BpeTrainer();

  // Counts the pieces of a text, valid UTF-8. `source` is for messages.
  void add(std::string_view text, std::string_view source);

  // An encoding of `size` ids: the single bytes, then the most frequent pair of neighbours, again
  // and again (of equal ones that of the lower ids), then nanochat's special tokens. Errors: usage,
  // where `size` is too small for bytes and special tokens; unsupported, where the texts have too
  // few pairs, with the largest size that they give. Same texts, same encoding.
  TiktokenEncoding train(std::int64_t size) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A tokenizer.pkl, as Python pickles a tiktoken Encoding; read_tiktoken_pickle reads it.
std::string tiktoken_pickle(const TiktokenEncoding& encoding);

}  // namespace kappascope
