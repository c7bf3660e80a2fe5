#include "core/tokenizer/bpe.h"

#include <algorithm>
#include <array>
#include <functional>

namespace kappascope {
namespace {

// Up to this length scanning all pairs for the lowest is faster than keeping a heap.
constexpr std::size_t kShortPiece = 96;

}  // namespace

void BytePairMerger::merge(std::string_view piece, std::vector<Vocabulary::Index>& tokens) {
  if (piece.size() <= kShortPiece) {
    merge_short(piece, tokens);
  } else {
    merge_long(piece, tokens);
  }
}

Vocabulary::Index BytePairMerger::joined(std::string_view piece, std::size_t begin,
                                         std::size_t end) const {
  if (end - begin > vocabulary_.longest()) { return Vocabulary::kNone; }
  return vocabulary_.find(piece.substr(begin, end - begin));
}

void BytePairMerger::merge_short(std::string_view piece,
                                 std::vector<Vocabulary::Index>& tokens) const {
  std::array<std::uint32_t, kShortPiece + 1> start;     // first byte of each part; then the end
  std::array<Vocabulary::Index, kShortPiece> token;     // of each part
  std::array<Vocabulary::Index, kShortPiece + 1> pair;  // of each part joined with the next
  std::size_t count = piece.size();
  for (std::size_t i = 0; i < count; ++i) {
    start[i] = static_cast<std::uint32_t>(i);
    token[i] = vocabulary_.of_byte(static_cast<unsigned char>(piece[i]));
    pair[i] = i + 1 < count ? joined(piece, i, i + 2) : Vocabulary::kNone;
  }
  start[count] = static_cast<std::uint32_t>(count);
  while (count > 1) {
    const auto lowest = std::min_element(pair.begin(), pair.begin() + count - 1);
    if (*lowest == Vocabulary::kNone) { break; }
    const std::size_t at = lowest - pair.begin();
    token[at] = *lowest;
    std::copy(start.begin() + at + 2, start.begin() + count + 1, start.begin() + at + 1);
    std::copy(token.begin() + at + 2, token.begin() + count, token.begin() + at + 1);
    std::copy(pair.begin() + at + 2, pair.begin() + count, pair.begin() + at + 1);
    --count;
    pair[at] = at + 1 < count ? joined(piece, start[at], start[at + 2]) : Vocabulary::kNone;
    if (at > 0) { pair[at - 1] = joined(piece, start[at - 1], start[at + 1]); }
  }
  tokens.insert(tokens.end(), token.begin(), token.begin() + count);
}

void BytePairMerger::queue_pair(std::string_view piece, std::uint32_t at) {
  Part& part = parts_[at];
  part.pair =
      part.next == piece.size() ? Vocabulary::kNone : joined(piece, at, parts_[part.next].next);
  if (part.pair == Vocabulary::kNone) { return; }
  queue_.push_back(std::uint64_t{part.pair} << 32 | at);
}

void BytePairMerger::merge_long(std::string_view piece, std::vector<Vocabulary::Index>& tokens) {
  const auto size = static_cast<std::uint32_t>(piece.size());
  parts_.resize(size);
  queue_.clear();
  for (std::uint32_t i = 0; i < size; ++i) {
    parts_[i] = {i - 1, i + 1, vocabulary_.of_byte(static_cast<unsigned char>(piece[i])),
                 Vocabulary::kNone};
  }
  for (std::uint32_t i = 0; i < size; ++i) { queue_pair(piece, i); }
  const std::greater<> later;
  const auto requeue = [&](std::uint32_t at) {
    const std::size_t before = queue_.size();
    queue_pair(piece, at);
    if (queue_.size() > before) { std::push_heap(queue_.begin(), queue_.end(), later); }
  };
  std::make_heap(queue_.begin(), queue_.end(), later);
  while (!queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end(), later);
    const auto at = static_cast<std::uint32_t>(queue_.back());
    const auto pair = static_cast<Vocabulary::Index>(queue_.back() >> 32);
    queue_.pop_back();
    // Stale unless the part still makes this very pair. A part that was swallowed has none.
    if (parts_[at].pair != pair) { continue; }
    Part& left = parts_[at];
    Part& right = parts_[left.next];
    left.token = pair;
    left.next = right.next;
    right.pair = Vocabulary::kNone;
    if (left.next < size) { parts_[left.next].previous = at; }
    requeue(at);
    if (at > 0) { requeue(left.previous); }
  }
  for (std::uint32_t at = 0; at < size; at = parts_[at].next) {
    tokens.push_back(parts_[at].token);
  }
}

}  // namespace kappascope
