// Byte-pair merging of one piece of text (SPEC §1.1).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/tokenizer/vocabulary.h"

namespace kappascope {

// Splits pieces into tokens. A piece starts as single bytes; as long as two neighbours together are
// a token, the pair of lowest rank is joined, the leftmost of equals first.
// Holds the scratch space: one object per thread; `vocabulary` must outlive it.
class BytePairMerger {
 public:
  explicit BytePairMerger(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  // Appends the tokens of `piece`, in order, to `tokens`. O(n log n) time and O(n) memory in the
  // piece's n bytes (< 2^31), for tokens of bounded length.
  void merge(std::string_view piece, std::vector<Vocabulary::Index>& tokens);

 private:
  void merge_short(std::string_view piece, std::vector<Vocabulary::Index>& tokens) const;
  void merge_long(std::string_view piece, std::vector<Vocabulary::Index>& tokens);
  // The token that bytes [begin, end) of the piece are; none when they are no token.
  Vocabulary::Index joined(std::string_view piece, std::size_t begin, std::size_t end) const;

  // A part of a long piece, at the index of its first byte; parts form a doubly linked list.
  struct Part {
    std::uint32_t previous;
    std::uint32_t next;       // first byte of the next part; the piece's length at the end
    Vocabulary::Index token;  // of the part itself
    Vocabulary::Index pair;   // of the part joined with the next one, or none
  };
  // Computes parts_[at].pair and queues it.
  void queue_pair(std::string_view piece, std::uint32_t at);

  const Vocabulary& vocabulary_;
  std::vector<Part> parts_;
  std::vector<std::uint64_t> queue_;  // min-heap of pair << 32 | first byte; stale ones stay in it
};

}  // namespace kappascope
