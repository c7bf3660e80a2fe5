// Where the experts of a row were chosen: a few places each, with the tokens around them. Which
// places these are depends on a hash alone, so that parts of a corpus merge in any order.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <limits>
#include <vector>

namespace kappascope {

inline constexpr std::size_t kContexts = 4;        // N places of an expert
inline constexpr std::int64_t kContextBefore = 8;  // tokens in front of the chosen one
inline constexpr std::int64_t kContextAfter = 4;   // and behind it
inline constexpr std::int64_t kContextTokens = kContextBefore + 1 + kContextAfter;

// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
constexpr std::uint64_t mixed_bits(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Bits that look random of a place, and of an expert of a layer and pass chosen there.
constexpr std::uint64_t place_hash(std::uint64_t document, std::int64_t position) {
  return mixed_bits(mixed_bits(document) ^ std::uint64_t(position));
}
constexpr std::uint64_t choice_hash(std::uint64_t place, std::int64_t layer, std::int64_t pass,
                                    std::int64_t expert) {
  return mixed_bits(
      place ^ (std::uint64_t(layer) << 40 ^ std::uint64_t(pass) << 20 ^ std::uint64_t(expert)));
}

struct TokenContext {
  std::uint64_t hash = 0;      // choice_hash() of it
  std::uint64_t document = 0;  // document_key()
  std::int64_t position = 0;   // of the chosen token in its document, from 0
  // The chosen token is at kContextBefore; −1: the document, or its piece in the call, ends before.
  std::array<std::int32_t, kContextTokens> ids{};

  auto operator<=>(const TokenContext&) const = default;
  template <typename Archive>
  void exchange(Archive& archive) {
    archive(hash);
    archive(document);
    archive(position);
    for (std::int32_t& id : ids) { archive(id); }
  }
};

// Of all places where an expert was chosen those with the smallest hashes: as good as drawn by lot,
// and the same whatever the order they come in.
struct ExpertContexts {
  std::vector<std::vector<TokenContext>> of_expert;  // [E] at most kContexts, ascending; or empty

  // What a hash must be below to be kept; the largest number: there is room.
  std::uint64_t limit(std::size_t expert) const {
    const bool full = expert < of_expert.size() && of_expert[expert].size() == kContexts;
    return full ? of_expert[expert].back().hash : std::numeric_limits<std::uint64_t>::max();
  }
  // One that is there already counts once.
  void add(std::size_t expert, const TokenContext& context);
  void add(const ExpertContexts& other);
  // Whether what exchange() has read is of `experts` or none, in order.
  bool consistent(std::int64_t experts) const;
  template <typename Archive>
  void exchange(Archive& archive) {
    archive(of_expert);
  }
};

}  // namespace kappascope
