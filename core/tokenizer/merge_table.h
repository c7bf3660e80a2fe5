// Which two tokens are joined into which third.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tokenizer/bpe.h"

namespace kappascope {

// Immutable. Memory: 12 bytes a merge and 4 a token.
class MergeTable {
 public:
  using Index = Vocabulary::Index;
  using Rank = PairMerger::Rank;

  struct Merge {
    Index left = 0, right = 0, joined = 0;
  };

  MergeTable() = default;
  // `merges` in the order of their ranks; of equal pairs the last counts. Indices are below
  // `tokens`.
  MergeTable(const std::vector<Merge>& merges, std::size_t tokens);

  // PairMerger::kNone where the two are not joined. O(log n).
  Rank rank(Index left, Index right) const;
  Index joined(Rank rank) const { return joined_[rank]; }

 private:
  struct Right {
    Index token = 0;
    Rank rank = 0;
  };
  std::vector<std::uint32_t> starts_;  // [tokens + 1] into rights_
  std::vector<Right> rights_;          // those of each left token, ascending by token
  std::vector<Index> joined_;          // by rank
};

}  // namespace kappascope
