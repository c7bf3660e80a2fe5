// Byte-pair merging of one piece of text (SPEC §1.1).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "core/tokenizer/vocabulary.h"

namespace kappascope {

// Joins neighbouring parts of a piece: as long as two together are a token, the pair of lowest rank
// is joined, the leftmost of equals first. O(n log n) time and O(n) memory in the n parts a piece
// starts as (< 2^31). Holds the scratch space: one object per thread.
class PairMerger {
 public:
  using Index = Vocabulary::Index;
  using Rank = std::uint32_t;
  static constexpr Rank kNone = UINT32_MAX;

  // A part, by the parts it was joined from: [begin, end) of those the piece started as.
  struct Part {
    std::uint32_t begin, end;
    Index token;
  };

  // `parts` are those the piece starts as, in order: begin = their index, end = begin + 1.
  // Afterwards those that are left. `rank(left, right)` is kNone when the two are not joined, else
  // the rank; `token(rank)` is what they become. A rank never becomes lower by joining more.
  template <typename RankOf, typename TokenOf>
  void merge(std::vector<Part>& parts, const RankOf& rank, const TokenOf& token) {
    if (parts.size() <= kFewParts) {
      merge_few(parts, rank, token);
    } else {
      merge_many(parts, rank, token);
    }
  }

 private:
  // Up to this number scanning all pairs for the lowest is faster than keeping a heap.
  static constexpr std::size_t kFewParts = 96;

  template <typename RankOf, typename TokenOf>
  void merge_few(std::vector<Part>& parts, const RankOf& rank, const TokenOf& token) {
    std::array<Rank, kFewParts> pair;  // of each part joined with the next
    std::size_t count = parts.size();
    pair.fill(kNone);
    for (std::size_t i = 0; i + 1 < count; ++i) { pair[i] = rank(parts[i], parts[i + 1]); }
    while (count > 1) {
      const auto lowest = std::min_element(pair.begin(), pair.begin() + count - 1);
      if (*lowest == kNone) { break; }
      const std::size_t at = lowest - pair.begin();
      parts[at].end = parts[at + 1].end;
      parts[at].token = token(*lowest);
      std::copy(parts.begin() + at + 2, parts.begin() + count, parts.begin() + at + 1);
      std::copy(pair.begin() + at + 2, pair.begin() + count, pair.begin() + at + 1);
      --count;
      if (at + 1 < count) { pair[at] = rank(parts[at], parts[at + 1]); }
      if (at > 0) { pair[at - 1] = rank(parts[at - 1], parts[at]); }
    }
    parts.resize(count);
  }

  // Parts stay at the index of their first one and form a doubly linked list through `end` and
  // previous_; a min-heap has rank << 32 | index, where stale entries stay until they are met.
  template <typename RankOf, typename TokenOf>
  void merge_many(std::vector<Part>& parts, const RankOf& rank, const TokenOf& token) {
    const auto size = static_cast<std::uint32_t>(parts.size());
    const std::greater<> later;
    pair_.assign(size, kNone);
    previous_.resize(size);
    queue_.clear();
    const auto queue_pair = [&](std::uint32_t at) {
      const std::uint32_t next = parts[at].end;
      pair_[at] = next == size ? kNone : rank(parts[at], parts[next]);
      if (pair_[at] != kNone) { queue_.push_back(std::uint64_t{pair_[at]} << 32 | at); }
      return pair_[at] != kNone;
    };
    const auto requeue = [&](std::uint32_t at) {
      if (queue_pair(at)) { std::push_heap(queue_.begin(), queue_.end(), later); }
    };
    for (std::uint32_t i = 0; i < size; ++i) {
      previous_[i] = i - 1;
      queue_pair(i);
    }
    std::make_heap(queue_.begin(), queue_.end(), later);
    while (!queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end(), later);
      const auto at = static_cast<std::uint32_t>(queue_.back());
      const auto lowest = static_cast<Rank>(queue_.back() >> 32);
      queue_.pop_back();
      // Stale unless the part still makes this very pair. A part that was swallowed has none.
      if (pair_[at] != lowest) { continue; }
      const std::uint32_t right = parts[at].end;
      parts[at].token = token(lowest);
      parts[at].end = parts[right].end;
      pair_[right] = kNone;
      if (parts[at].end < size) { previous_[parts[at].end] = at; }
      requeue(at);
      if (at > 0) { requeue(previous_[at]); }
    }
    std::uint32_t count = 0;
    for (std::uint32_t at = 0; at < size;) {
      const std::uint32_t next = parts[at].end;
      parts[count++] = parts[at];
      at = next;
    }
    parts.resize(count);
  }

  std::vector<Rank> pair_;
  std::vector<std::uint32_t> previous_;
  std::vector<std::uint64_t> queue_;
};

// Splits pieces into the tokens of a tiktoken encoding: a piece starts as single bytes, two
// neighbours are joined when together they spell a token, whose rank is its index.
class BytePairMerger {
 public:
  explicit BytePairMerger(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  // Appends the tokens of `piece`, in order, to `tokens`; of a vocabulary with a token for every
  // single byte. Bounds as PairMerger's in the piece's bytes, for tokens of bounded length.
  void merge(std::string_view piece, std::vector<Vocabulary::Index>& tokens);

 private:
  const Vocabulary& vocabulary_;  // must outlive this
  PairMerger merger_;
  std::vector<PairMerger::Part> parts_;
};

}  // namespace kappascope
