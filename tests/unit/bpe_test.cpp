#include "core/tokenizer/bpe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace kappascope {
namespace {

// Every byte, then `tokens` in the order of their ranks; ids are `spread` apart.
struct Ranks {
  explicit Ranks(const std::vector<std::string>& tokens, std::int32_t spread = 1) {
    for (int byte = 0; byte < 256; ++byte) { add(std::string(1, static_cast<char>(byte)), spread); }
    for (const std::string& token : tokens) { add(token, spread); }
  }
  void add(const std::string& token, std::int32_t spread) {
    const auto id = static_cast<std::int32_t>(rank_of.size()) * spread;
    if (rank_of.emplace(token, id).second) { ordered.push_back(token); }
  }
  Vocabulary vocabulary() const {
    std::vector<VocabularyToken> tokens;
    for (const auto& [bytes, id] : rank_of) { tokens.push_back({id, bytes}); }
    return Vocabulary(tokens, "test");
  }
  std::map<std::string, std::int32_t> rank_of;
  std::vector<std::string> ordered;
};

// The definition, word by word: join the pair of lowest rank, the leftmost first, until none is.
std::vector<std::int32_t> merge_by_definition(const Ranks& ranks, std::string_view piece) {
  std::vector<std::string> parts;
  for (const char c : piece) { parts.emplace_back(1, c); }
  while (true) {
    std::size_t best = parts.size();
    std::int32_t lowest = INT32_MAX;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto at = ranks.rank_of.find(parts[i] + parts[i + 1]);
      if (at == ranks.rank_of.end() || at->second >= lowest) { continue; }
      lowest = at->second;
      best = i;
    }
    if (best == parts.size()) { break; }
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  std::vector<std::int32_t> ids;
  for (const std::string& part : parts) { ids.push_back(ranks.rank_of.at(part)); }
  return ids;
}

std::vector<std::int32_t> merged_ids(const Vocabulary& vocabulary, std::string_view piece) {
  BytePairMerger merger(vocabulary);
  std::vector<Vocabulary::Index> tokens;
  merger.merge(piece, tokens);
  std::vector<std::int32_t> ids;
  for (const Vocabulary::Index token : tokens) { ids.push_back(vocabulary.id(token)); }
  return ids;
}

TEST(BytePairMerger, AgreesWithTheDefinitionOnShortAndLongPieces) {
  std::mt19937 random(7);
  const auto word = [&](std::size_t length, int letters) {
    std::string out;
    for (std::size_t i = 0; i < length; ++i) { out += static_cast<char>('a' + random() % letters); }
    return out;
  };
  for (int round = 0; round < 30; ++round) {
    const int letters = 1 + round % 4;
    std::vector<std::string> tokens;
    for (int i = 0; i < 60; ++i) { tokens.push_back(word(2 + random() % 7, letters)); }
    const Ranks ranks(tokens, 1 + round % 3);
    const Vocabulary vocabulary = ranks.vocabulary();
    for (const std::size_t length : {1U, 2U, 3U, 31U, 95U, 96U, 97U, 130U, 300U}) {
      const std::string piece = word(length, letters);
      ASSERT_EQ(merged_ids(vocabulary, piece), merge_by_definition(ranks, piece)) << piece;
    }
  }
}

TEST(BytePairMerger, EqualPairsFromTheLeft) {
  const Ranks ranks({"aa", "aaa"});
  const Vocabulary vocabulary = ranks.vocabulary();
  EXPECT_EQ(merged_ids(vocabulary, "aaaaa"), (std::vector<std::int32_t>{256, 257}));
}

TEST(BytePairMerger, OneLongPiece) {
  std::vector<std::string> tokens;
  for (std::size_t length = 2; length <= 64; length *= 2) { tokens.emplace_back(length, 'a'); }
  const Vocabulary vocabulary = Ranks(tokens).vocabulary();
  const std::vector<std::int32_t> ids = merged_ids(vocabulary, std::string(1 << 18, 'a'));
  EXPECT_EQ(ids, std::vector<std::int32_t>((1 << 18) / 64, 261));
}

TEST(PairMerger, AsksOnlyForNeighboursInsideThePiece) {
  for (const std::uint32_t size : {1U, 2U, 3U, 96U, 97U, 200U}) {
    std::vector<PairMerger::Part> parts;
    parts.reserve(2 * size);  // one part too far would be in memory
    for (std::uint32_t i = 0; i < size; ++i) { parts.push_back({i, i + 1, i}); }
    const auto rank = [&](const PairMerger::Part& left, const PairMerger::Part& right) {
      EXPECT_EQ(left.end, right.begin) << size;
      EXPECT_LE(right.end, size);
      return right.end - left.begin <= 3 ? right.end : PairMerger::kNone;
    };
    PairMerger().merge(parts, rank, [](PairMerger::Rank joined) { return joined; });
    EXPECT_EQ(parts.front().begin, 0U);
    EXPECT_EQ(parts.back().end, size);
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      EXPECT_EQ(parts[i].end, parts[i + 1].begin) << size << ", part " << i;
    }
  }
}

TEST(Vocabulary, FindsExactlyItsTokens) {
  std::mt19937 random(11);
  std::vector<std::string> tokens;
  for (int i = 0; i < 5000; ++i) {
    std::string token(1 + random() % 70, '\0');
    for (char& c : token) { c = static_cast<char>(random() % 3 == 0 ? 0 : random()); }
    tokens.push_back(token);
  }
  const Ranks ranks(tokens, 3);
  const Vocabulary vocabulary = ranks.vocabulary();
  ASSERT_EQ(vocabulary.size(), ranks.rank_of.size());
  for (const auto& [bytes, id] : ranks.rank_of) {
    const Vocabulary::Index index = vocabulary.find(bytes);
    ASSERT_NE(index, Vocabulary::kNone);
    EXPECT_EQ(vocabulary.id(index), id);
    EXPECT_EQ(vocabulary.bytes(index), bytes);
    EXPECT_EQ(vocabulary.find_id(id), index);
    EXPECT_EQ(vocabulary.find_id(id + 1), Vocabulary::kNone);
    const std::string other = bytes + 'x';
    EXPECT_EQ(vocabulary.find(other) == Vocabulary::kNone, ranks.rank_of.count(other) == 0);
  }
  EXPECT_EQ(vocabulary.find(""), Vocabulary::kNone);
}

}  // namespace
}  // namespace kappascope
