// The totals of what goes together: experts of one token, of neighbours and of the row before, and
// experts with tokens.
#include <algorithm>
#include <utility>

#include "core/trace/totals.h"

namespace kappascope {
namespace {

void add_together(const RowTokens& row, std::vector<std::int64_t>& coactivation) {
  for (std::int64_t t = 0; t < row.tokens; ++t) {
    if (!row.counted[t]) { continue; }
    const std::int32_t* chosen = row.expert.data() + t * row.slots;
    for (std::int64_t i = 0; i < row.slots; ++i) {
      for (std::int64_t j = 0; j < row.slots && chosen[i] >= 0; ++j) {
        if (chosen[j] >= 0) { ++coactivation[chosen[i] * row.experts + chosen[j]]; }
      }
    }
  }
}

// Share of the experts of token t that the next one has, too; −1: one of them has none.
double shared_with_next(const RowTokens& row, std::int64_t t) {
  const auto own = row.expert.begin() + t * row.slots, next = own + row.slots;
  const auto end = next + row.slots;
  std::int64_t chosen = 0, shared = 0;
  for (auto e = own; e != next; ++e) {
    if (*e < 0) { continue; }
    ++chosen;
    shared += std::find(next, end, *e) != end ? 1 : 0;
  }
  const bool any = std::any_of(next, end, [](std::int32_t e) { return e >= 0; });
  return chosen > 0 && any ? double(shared) / double(chosen) : -1;
}

}  // namespace

void PairTotals::add(const RowTokens& row, const std::vector<TokenSpan>& texts,
                     const std::vector<std::int32_t>& before) {
  for (const TokenSpan& text : texts) {
    for (std::int64_t t = text.begin; t + 1 < text.end; ++t) {
      const double share = row.counted[t] && row.counted[t + 1] ? shared_with_next(row, t) : -1;
      if (share < 0) { continue; }
      neighbour_share.add(share);
      ++neighbours;
    }
  }
  if (row.experts > kMostPairExperts) { return; }
  const auto pairs = std::size_t(row.experts * row.experts);
  coactivation.resize(pairs);
  add_together(row, coactivation);
  if (before.empty()) { return; }
  transition.resize(pairs);
  transition_shuffled.resize(pairs);
  add_transitions(row, before);
}

// The other token of a token is half of those that count away from it.
void PairTotals::add_transitions(const RowTokens& row, const std::vector<std::int32_t>& before) {
  const std::vector<std::int32_t> here = first_choices(row);
  const auto inside = [&](std::int32_t e) { return e >= 0 && e < row.experts; };
  std::vector<std::int64_t> counted;
  for (std::int64_t t = 0; t < row.tokens; ++t) {
    if (row.counted[t]) { counted.push_back(t); }
  }
  for (std::size_t i = 0; i < counted.size(); ++i) {
    const std::int64_t t = counted[i], other = counted[(i + counted.size() / 2) % counted.size()];
    if (!inside(here[t])) { continue; }
    if (inside(before[t])) { ++transition[before[t] * row.experts + here[t]]; }
    if (other != t && inside(before[other])) {
      ++transition_shuffled[before[other] * row.experts + here[t]];
    }
  }
}

void PairTotals::add(const PairTotals& other) {
  add_counts(coactivation, other.coactivation);
  add_counts(transition, other.transition);
  add_counts(transition_shuffled, other.transition_shuffled);
  neighbour_share.add(other.neighbour_share);
  neighbours += other.neighbours;
}

TokenCounts TokenCounts::of(std::vector<std::uint64_t> keys) {
  std::sort(keys.begin(), keys.end());
  TokenCounts result;
  for (const std::uint64_t key : keys) {
    if (result.pairs.empty() || result.pairs.back().key != key) {
      result.pairs.push_back({key, 0});
    }
    ++result.pairs.back().count;
  }
  return result;
}

void TokenCounts::add(const TokenCounts& other) {
  std::vector<Pair> both;
  both.reserve(pairs.size() + other.pairs.size());
  auto own = pairs.begin();
  for (const Pair& pair : other.pairs) {
    while (own != pairs.end() && own->key < pair.key) { both.push_back(*own++); }
    both.push_back(pair);
    if (own != pairs.end() && own->key == pair.key) { both.back().count += own++->count; }
  }
  both.insert(both.end(), own, pairs.end());
  pairs = std::move(both);
  missing += other.missing;
  if (pairs.size() > kMostPairs) { prune(); }
}

// Takes the median off every count; what has no more than that goes.
void TokenCounts::prune() {
  std::vector<std::int64_t> all;
  all.reserve(pairs.size());
  for (const Pair& pair : pairs) { all.push_back(pair.count); }
  std::nth_element(all.begin(), all.begin() + std::ssize(all) / 2, all.end());
  const std::int64_t off = all[all.size() / 2];
  missing += off;
  std::erase_if(pairs, [&](const Pair& pair) { return pair.count <= off; });
  for (Pair& pair : pairs) { pair.count -= off; }
}

bool TokenCounts::consistent() const {
  return std::adjacent_find(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
           return a.key >= b.key;
         }) == pairs.end();
}

std::vector<TokenCounts::Top> TokenCounts::top(std::int64_t expert, std::size_t most) const {
  std::vector<Top> result;
  const auto before = [](const Pair& pair, std::uint64_t key) { return pair.key < key; };
  const auto first = std::lower_bound(pairs.begin(), pairs.end(), key(expert, 0), before);
  const auto end = std::lower_bound(first, pairs.end(), key(expert + 1, 0), before);
  for (auto at = first; at != end; ++at) {
    result.push_back({std::int32_t(at->key & 0xffffffffu), at->count});
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const Top& a, const Top& b) { return a.count > b.count; });
  if (result.size() > most) { result.resize(most); }
  return result;
}

}  // namespace kappascope
