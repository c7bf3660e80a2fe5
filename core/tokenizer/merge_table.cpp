#include "core/tokenizer/merge_table.h"

#include <algorithm>

namespace kappascope {

MergeTable::MergeTable(const std::vector<Merge>& merges, std::size_t tokens)
    : starts_(tokens + 1), rights_(merges.size()) {
  for (const Merge& merge : merges) {
    ++starts_[merge.left + 1];
    joined_.push_back(merge.joined);
  }
  for (std::size_t i = 1; i < starts_.size(); ++i) { starts_[i] += starts_[i - 1]; }
  std::vector<std::uint32_t> next = starts_;
  for (Rank rank = 0; rank < merges.size(); ++rank) {
    rights_[next[merges[rank].left]++] = {merges[rank].right, rank};
  }
  for (std::size_t i = 0; i < tokens; ++i) {
    std::sort(rights_.begin() + starts_[i], rights_.begin() + starts_[i + 1],
              [](const Right& a, const Right& b) {
                return a.token != b.token ? a.token < b.token : a.rank > b.rank;
              });
  }
}

MergeTable::Rank MergeTable::rank(Index left, Index right) const {
  const auto end = rights_.begin() + starts_[left + 1];
  const auto at = std::lower_bound(rights_.begin() + starts_[left], end, right,
                                   [](const Right& one, Index token) { return one.token < token; });
  return at != end && at->token == right ? at->rank : PairMerger::kNone;
}

}  // namespace kappascope
