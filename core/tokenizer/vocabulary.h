// The tokens of a byte-pair tokenizer: bytes → token in one probe or two, and token → bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace kappascope {

// Ids, and so merge ranks, are in [0, kTokenIdLimit).
inline constexpr std::int64_t kTokenIdLimit = std::int64_t{1} << 24;
// A token is at most this many bytes (those of known tokenizers: 128); the cost of one look-up.
inline constexpr std::size_t kLongestToken = 4096;

struct VocabularyToken {
  std::int32_t id = 0;     // also its merge rank
  std::string_view bytes;  // copied by the Vocabulary
};

// Immutable. Tokens are known by their index in the order of ids: of two tokens the one with the
// lower index has the lower merge rank. Memory is a small multiple of the tokens' bytes and number,
// however far apart the ids are.
class Vocabulary {
 public:
  using Index = std::uint32_t;
  static constexpr Index kNone = UINT32_MAX;

  // `tokens` have unique ids and unique bytes, 1 to kLongestToken each. Bytes that were chosen to
  // defeat the hash table: damaged, naming `file`.
  Vocabulary(std::vector<VocabularyToken> tokens, std::string_view file);

  // The token of exactly these bytes, or kNone.
  Index find(std::string_view bytes) const { return find(bytes, hash(bytes)); }
  Index find(std::string_view bytes, std::uint64_t hash_of_bytes) const;
  std::uint64_t hash(std::string_view bytes) const;

  // kNone where the byte alone is no token.
  Index of_byte(unsigned char byte) const { return of_byte_[byte]; }
  std::int32_t id(Index index) const { return ids_[index]; }
  std::string_view bytes(Index index) const {
    return std::string_view(text_).substr(starts_[index], length(index));
  }
  std::size_t length(Index index) const { return starts_[index + 1] - starts_[index]; }
  std::size_t longest() const { return longest_; }

  Index find_id(std::int32_t id) const;  // kNone when no token has it
  std::size_t size() const { return ids_.size(); }

 private:
  struct Slot {
    std::uint32_t tag = 0;  // upper half of the hash
    Index index = kNone;    // kNone: empty
  };
  bool build_table();  // false: some token would be too many probes away

  std::string text_;                   // all tokens, one after another
  std::vector<std::uint32_t> starts_;  // [tokens + 1] into text_
  std::vector<std::int32_t> ids_;      // ascending
  std::vector<Slot> slots_;            // open addressing, at most half full
  std::array<Index, 256> of_byte_{};
  std::size_t longest_ = 0;
  std::uint64_t seed_ = 0;
};

}  // namespace kappascope
