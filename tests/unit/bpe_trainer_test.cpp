#include "core/tokenizer/bpe_trainer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/tokenizer/tokenizer.h"
#include "tests/unit/expect_error.h"
#include "tests/unit/temp_folder.h"

namespace kappascope {
namespace {

TiktokenEncoding learned(const std::vector<std::string>& texts, std::int64_t size) {
  BpeTrainer trainer;
  for (const std::string& text : texts) { trainer.add(text, "test"); }
  return trainer.train(size);
}

TEST(BpeTrainer, JoinsTheMostFrequentPairFirstAndOfEqualOnesThatOfLowerIds) {
  const TiktokenEncoding encoding = learned({"abab ab", "cdcd", "ab"}, 256 + 2 + 9);
  EXPECT_EQ(encoding.ranks[256].first, "ab");  // four times; "cd" twice
  EXPECT_EQ(encoding.ranks[257].first, "cd");
  EXPECT_EQ(encoding.specials.front(), (std::pair<std::string, std::int32_t>("<|bos|>", 258)));
}

TEST(BpeTrainer, OverlappingPairsAreCountedAsTheyAreJoined) {
  // "aaaa" is joined from its left end: two of "aa", then one of "aaaa".
  const TiktokenEncoding encoding = learned({"aaaa aaaa", "aaaa"}, 256 + 2 + 9);
  EXPECT_EQ(encoding.ranks[256].first, "aa");
  EXPECT_EQ(encoding.ranks[257].first, "aaaa");
}

TEST(BpeTrainer, WritesAFileThatIsReadAgainAndEncodesItsTexts) {
  const std::string text = "The tide came in, and the tide went out: größer, 123 …\n\n  end";
  const TiktokenEncoding encoding = learned({text, text, text}, 290);
  const testing::TempFolder folder;
  folder.write("tokenizer.pkl", tiktoken_pickle(encoding));
  const Tokenizer tokenizer = Tokenizer::load(folder.path() / "tokenizer.pkl");
  EXPECT_EQ(tokenizer.size(), 290);
  std::string bytes;
  const std::vector<Token> tokens = tokenizer.encode_ordinary(text);
  for (const Token& token : tokens) { bytes += tokenizer.bytes(token.id); }
  EXPECT_EQ(bytes, text);
  EXPECT_LT(tokens.size(), text.size() - 15);
}

TEST(BpeTrainer, RefusesSizesThatTheTextsDoNotGive) {
  EXPECT_EQ(testing::error_of([] { learned({"ab"}, 264); }),
            "2 --vocab: expected at least 265, 256 bytes and 9 special tokens, found 264");
  EXPECT_EQ(testing::error_of([] { learned({"ab ab"}, 300); }),
            "4 --vocab: the texts are too short for 300 tokens; expected at most 266");
}

}  // namespace
}  // namespace kappascope
