#include "core/tokenizer/vocabulary.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace kappascope {
namespace {

// A look-up ends after this many slots, found or not. In a table that is half full no cluster of
// honest tokens is near that long.
constexpr std::size_t kMaxProbes = 128;
constexpr std::uint64_t kSeedsTried = 8;

__extension__ using Wide = unsigned __int128;

// Both halves of the product folded into one: every input bit reaches every output bit.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

template <typename T>
std::uint64_t load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

constexpr std::uint64_t kOddA = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
constexpr std::uint64_t kOddB = 0xD6E8FEB86659FD93;

}  // namespace

std::uint64_t Vocabulary::hash(std::string_view bytes) const {
  const char* from = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t state = seed_ ^ left;
  for (; left > 16; from += 16, left -= 16) {
    state = mix(load<std::uint64_t>(from) ^ kOddA, load<std::uint64_t>(from + 8) ^ state);
  }
  // The last 16 bytes at most, by two loads that may overlap.
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  if (left >= 8) {
    a = load<std::uint64_t>(from);
    b = load<std::uint64_t>(from + left - 8);
  } else if (left >= 4) {
    a = load<std::uint32_t>(from);
    b = load<std::uint32_t>(from + left - 4);
  } else if (left > 0) {
    a = load<std::uint8_t>(from) << 16 | load<std::uint8_t>(from + left / 2) << 8 |
        load<std::uint8_t>(from + left - 1);
  }
  return mix(kOddB ^ bytes.size(), mix(a ^ kOddA, b ^ state));
}

Vocabulary::Vocabulary(std::vector<VocabularyToken> tokens, std::string_view file) {
  std::sort(tokens.begin(), tokens.end(),
            [](const VocabularyToken& a, const VocabularyToken& b) { return a.id < b.id; });
  std::size_t total = 0;
  for (const VocabularyToken& token : tokens) { total += token.bytes.size(); }
  require(total < UINT32_MAX, ExitCode::unsupported, {file}, "the tokens have ", total,
          " bytes; expected less than 4 GiB");
  text_.reserve(total);
  ids_.reserve(tokens.size());
  starts_.reserve(tokens.size() + 1);
  starts_.push_back(0);
  for (const VocabularyToken& token : tokens) {
    text_ += token.bytes;
    ids_.push_back(token.id);
    starts_.push_back(static_cast<std::uint32_t>(text_.size()));
    longest_ = std::max(longest_, token.bytes.size());
  }
  slots_.resize(std::bit_ceil(2 * tokens.size() + 2));
  bool built = false;
  for (std::uint64_t i = 0; i < kSeedsTried && !built; ++i) {
    seed_ = mix(kOddA + i, kOddB);
    built = build_table();
  }
  require(built, ExitCode::damaged, {file}, "tokens that defeat the hash table");
  for (std::size_t byte = 0; byte < of_byte_.size(); ++byte) {
    const char one = static_cast<char>(byte);
    of_byte_[byte] = find({&one, 1});
  }
}

bool Vocabulary::build_table() {
  std::fill(slots_.begin(), slots_.end(), Slot{});
  const std::size_t mask = slots_.size() - 1;
  for (Index index = 0; index < ids_.size(); ++index) {
    const std::uint64_t hashed = hash(bytes(index));
    std::size_t at = hashed & mask;
    std::size_t probes = 1;
    for (; slots_[at].index != kNone; at = (at + 1) & mask) {
      if (++probes > kMaxProbes) { return false; }
    }
    slots_[at] = {static_cast<std::uint32_t>(hashed >> 32), index};
  }
  return true;
}

Vocabulary::Index Vocabulary::find(std::string_view wanted, std::uint64_t hash_of_bytes) const {
  const std::size_t mask = slots_.size() - 1;
  const auto tag = static_cast<std::uint32_t>(hash_of_bytes >> 32);
  std::size_t at = hash_of_bytes & mask;
  for (std::size_t probe = 0; probe < kMaxProbes; ++probe, at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.index == kNone) { return kNone; }
    if (slot.tag == tag && bytes(slot.index) == wanted) { return slot.index; }
  }
  return kNone;
}

Vocabulary::Index Vocabulary::find_id(std::int32_t id) const {
  const auto at = std::lower_bound(ids_.begin(), ids_.end(), id);
  if (at == ids_.end() || *at != id) { return kNone; }
  return static_cast<Index>(at - ids_.begin());
}

}  // namespace kappascope
