// Tokens by the experts that chose them, merged call by call.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "core/trace/byte_archive.h"
#include "core/trace/totals.h"

namespace kappascope {
namespace {

TEST(TokenCounts, MergeCallsInTheOrderOfTheirKeys) {
  TokenCounts all =
      TokenCounts::of({TokenCounts::key(1, 9), TokenCounts::key(0, 7), TokenCounts::key(1, 9)});
  all.add(
      TokenCounts::of({TokenCounts::key(1, 9), TokenCounts::key(1, 3), TokenCounts::key(2, 0)}));
  all.add(TokenCounts{});
  ASSERT_TRUE(all.consistent());
  std::vector<std::pair<std::uint64_t, std::int64_t>> found;
  ByteWriter writer;
  writer(all);
  TokenCounts read;
  ByteReader reader(writer.bytes, "file");
  reader(read);
  reader.require_end();
  for (const TokenCounts::Pair& pair : read.pairs) { found.emplace_back(pair.key, pair.count); }
  EXPECT_EQ(found,
            (std::vector<std::pair<std::uint64_t, std::int64_t>>{{TokenCounts::key(0, 7), 1},
                                                                 {TokenCounts::key(1, 3), 1},
                                                                 {TokenCounts::key(1, 9), 3},
                                                                 {TokenCounts::key(2, 0), 1}}));
  const std::vector<TokenCounts::Top> top = all.top(1, 5);
  ASSERT_EQ(top.size(), 2u);
  EXPECT_EQ(top[0].token, 9);
  EXPECT_EQ(top[1].token, 3);
  EXPECT_EQ(all.top(1, 1).size(), 1u);
  EXPECT_TRUE(all.top(3, 5).empty());
  std::swap(all.pairs[0], all.pairs[1]);
  EXPECT_FALSE(all.consistent());
  all.pairs[1] = all.pairs[0];
  EXPECT_FALSE(all.consistent());
}

// Beyond kMostPairs the rare ones go, and the others are short by what is said to be missing.
TEST(TokenCounts, KeepTheFrequentOnesWhenThereAreTooMany) {
  TokenCounts counts;
  const auto many = std::int32_t(TokenCounts::kMostPairs);
  for (int round = 0; round < 3; ++round) {
    TokenCounts call;
    for (std::int32_t token = 0; token < many; ++token) {
      call.pairs.push_back({TokenCounts::key(1, token + round * many), 1});
    }
    call.pairs.push_back({TokenCounts::key(2, 7), 1000});
    counts.add(call);
  }
  EXPECT_LE(counts.pairs.size(), TokenCounts::kMostPairs);
  EXPECT_GT(counts.missing, 0);
  ASSERT_EQ(counts.top(2, 5).size(), 1U);
  EXPECT_EQ(counts.top(2, 5)[0].token, 7);
  EXPECT_GE(counts.top(2, 5)[0].count + counts.missing, 3000);
  EXPECT_LE(counts.top(2, 5)[0].count, 3000);
}

}  // namespace
}  // namespace kappascope
