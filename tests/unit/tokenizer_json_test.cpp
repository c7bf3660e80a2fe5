// tokenizer.json and tokenizer.model: exact ids, places in the text, and files that are broken.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "core/checkpoint/input_file.h"
#include "core/checkpoint/json.h"
#include "core/tokenizer/tokenizer.h"
#include "core/utf8.h"
#include "tests/unit/expect_error.h"
#include "tests/unit/memory_file.h"
#include "tests/unit/temp_folder.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;
using testing::error_of;

std::vector<std::int32_t> ids_of(const std::vector<Token>& tokens) {
  std::vector<std::int32_t> ids;
  for (const Token& token : tokens) { ids.push_back(token.id); }
  return ids;
}

std::string with_components(const std::string& components, const std::string& model) {
  return R"({"added_tokens":[{"id":0,"content":"<e>","single_word":false,"lstrip":false,)"
         R"("rstrip":false,"normalized":false,"special":true}])" +
         components + R"(,"model":{"type":"BPE",)" + model + "}}";
}

// Pieces of characters, with a fallback to bytes for one of them.
const std::string kSmall = with_components(
    R"(,"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},)"
    R"({"type":"Replace","pattern":{"String":" "},"content":"_"}]},)"
    R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"_+|[a-z]+"},"behavior":"Isolated",)"
    R"("invert":false})",
    R"("unk_token":"?","fuse_unk":true,"byte_fallback":true,"vocab":{"<e>":0,"?":1,"a":2,"b":3,)"
    R"("ab":4,"_":5,"é":6,"<0xE8>":7,"<0xAA>":8,"<0x9E>":9},"merges":["a b"])");

Tokenizer load(const std::string& bytes) {
  const testing::MemoryFile file(bytes);
  return Tokenizer::load_json(file.path());
}

TEST(TokenizerJson, AllReferenceCases) {
  const char* oracle = std::getenv("KAPPASCOPE_ORACLE");
  if (oracle == nullptr) { GTEST_SKIP() << "KAPPASCOPE_ORACLE is not set"; }
  const fs::path path = fs::path(oracle) / "tokenizer" / "cases.json";
  const Json cases = parse_json(read_text_file(path, 1 << 24), path.string());
  ASSERT_EQ(cases.size(), 400U);
  const std::vector<std::pair<const char*, const char*>> kinds = {
      {"split-gpt4", "qwen2-moe"}, {"bytelevel-gpt2", "olmoe"}, {"llama-bytefallback", "mixtral"}};
  for (const auto& [kind, model] : kinds) {
    const Tokenizer tokenizer = Tokenizer::load(fs::path(oracle) / "hf" / model / "tokenizer.json");
    for (const Json& one : cases) {
      const std::string text = one["text"];
      const std::vector<Token> tokens = tokenizer.encode(text);
      EXPECT_EQ(ids_of(tokens), one[kind].get<std::vector<std::int32_t>>()) << kind << text;
      std::string bytes;
      for (const Token& token : tokens) { bytes += tokenizer.bytes(token.id); }
      if (kind != std::string("llama-bytefallback")) { EXPECT_EQ(bytes, text) << kind; }
    }
  }
}

TEST(TokenizerJson, PlacesAreThoseOfTheText) {
  const Tokenizer tokenizer = load(kSmall);
  const std::string text = "e\u0301ab \u8A9Exx<e>b";
  const std::vector<Token> tokens = tokenizer.encode(text);
  EXPECT_EQ(ids_of(tokens), (std::vector<std::int32_t>{6, 4, 5, 7, 8, 9, 1, 0, 3}));
  const std::vector<std::pair<int, int>> places = {{0, 2}, {2, 4}, {4, 5},  {5, 6},  {5, 6},
                                                   {5, 6}, {6, 8}, {8, 11}, {11, 12}};
  for (std::size_t i = 0; i < places.size(); ++i) {
    EXPECT_EQ(std::pair(tokens[i].char_start, tokens[i].char_end), std::pair(places[i])) << i;
  }
  EXPECT_EQ(tokenizer.bytes(7), "\xE8");
  EXPECT_TRUE(tokenizer.is_special(0));
  EXPECT_FALSE(tokenizer.is_special(1));
  EXPECT_EQ(tokenizer.size(), 10);
}

// The blanks of the second are those that the first has taken: it is not found.
TEST(TokenizerJson, AddedTokensThatTakeTheSameBlanks) {
  const auto added = [](int id, const char* text, bool left, bool right, bool normalized) {
    const Json token{{"id", id},       {"content", text}, {"single_word", false},
                     {"lstrip", left}, {"rstrip", right}, {"normalized", normalized},
                     {"special", true}};
    return token.dump();
  };
  for (const bool normalized : {false, true}) {
    const Tokenizer tokenizer =
        load(R"({"added_tokens":[)" + added(0, "<x>", false, true, normalized) + "," +
             added(1, "\n\n", true, false, normalized) +
             R"(],"normalizer":{"type":"NFC"},"model":{"type":"BPE","byte_fallback":false,)"
             R"("unk_token":"?","vocab":{"<x>":0,"\n\n":1,"a":2,"?":3,"\u00e9":4},"merges":[]}})");
    const auto ids = [&](const std::string& text) { return ids_of(tokenizer.encode(text)); };
    EXPECT_EQ(ids("a<x>\n\n"), (std::vector<std::int32_t>{2, 0}));
    EXPECT_EQ(ids("e\u0301<x>\n\n\n\n"), (std::vector<std::int32_t>{4, 0}));
    EXPECT_EQ(ids("a \n\na"), (std::vector<std::int32_t>{2, 1, 2}));
  }
}

// added_tokens.json beside it names tokens that it has with its own flags, and others.
TEST(TokenizerJson, WhatTheFileSaysOfAnAddedTokenCounts) {
  const testing::TempFolder folder;
  folder.write("tokenizer.json",
               R"({"added_tokens":[{"id":0,"content":"<x>","single_word":false,"lstrip":false,)"
               R"("rstrip":true,"normalized":false,"special":true}],"model":{"type":"BPE",)"
               R"("unk_token":"?","vocab":{"<x>":0,"a":1,"?":2," ":3},"merges":[]}})");
  folder.write("added_tokens.json", R"({"<x>":0,"<y>":4})");
  const auto ids = [&] {
    return ids_of(Tokenizer::load(folder / "tokenizer.json").encode("a<x>  a<y> a"));
  };
  EXPECT_EQ(ids(), (std::vector<std::int32_t>{1, 0, 1, 4, 3, 1}));
  folder.write("added_tokens.json", R"({"<y>":9})");
  EXPECT_NE(error_of(ids).find("the added token \"<y>\"; expected the id 4"), std::string::npos);
  folder.write("added_tokens.json", R"({"<y>":"4"})");
  EXPECT_NE(error_of(ids).find("added_tokens.json: expected ids, found \"4\""), std::string::npos);
  // With a table there, it is of before.
  folder.write("tokenizer_config.json", R"({"added_tokens_decoder":{}})");
  EXPECT_EQ(ids(), (std::vector<std::int32_t>{1, 0, 1, 2, 2, 2, 3, 1}));
}

// As llama-3 has it: one step trims offsets, the next puts ids around the text; a further one goes
// around both.
TEST(TokenizerJson, StepsAfterTheModelAreTakenInTurn) {
  const auto around = [](const std::string& id) {
    return R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"s","type_id":0}},)"
           R"({"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"s","type_id":0}}],)"
           R"("pair":[],"special_tokens":{"s":{"id":"s","ids":[)" +
           id + R"(],"tokens":["s"]}}})";
  };
  const std::string model = R"("vocab":{"<e>":0,"a":1,"b":2,"c":3},"merges":[])";
  const Tokenizer tokenizer = load(
      with_components(R"(,"post_processor":{"type":"Sequence","processors":[{"type":"ByteLevel",)"
                      R"("add_prefix_space":true,"trim_offsets":false,"use_regex":true},)" +
                          around("2") + "," + around("3") + "]}",
                      model));
  EXPECT_EQ(ids_of(tokenizer.encode("a")), (std::vector<std::int32_t>{3, 2, 1, 2, 3}));
  EXPECT_EQ(ids_of(tokenizer.encode_ordinary("a")), std::vector<std::int32_t>{1});
}

TEST(TokenizerJson, MillionMarksAreOrderedQuickly) {
  std::string text = "a";
  for (int i = 0; i < 1 << 19; ++i) { text += i % 2 == 0 ? "\u0301" : "\u0316"; }
  EXPECT_EQ(load(kSmall).encode(text).size(), 1U);  // "á" and its marks: all unknown, one token
}

TEST(TokenizerJson, GrowingTextsAreStopped) {
  std::string steps;
  for (int i = 0; i < 40; ++i) {
    steps += std::string(i == 0 ? "" : ",") +
             R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"})";
  }
  const std::string file =
      with_components(R"(,"normalizer":{"type":"Sequence","normalizers":[)" + steps + "]}",
                      R"("vocab":{"<e>":0,"a":1},"merges":[])");
  EXPECT_EQ(error_of([&] { load(file).encode("a", "t"); }),
            "3 t: the tokenizer's normalizer makes the text grow beyond 65600 bytes");
}

void expect_answers(const std::string& bytes, bool sentencepiece, const std::string& what) {
  const testing::MemoryFile file(bytes);
  try {
    const Tokenizer tokenizer = sentencepiece ? Tokenizer::load_sentencepiece(file.path())
                                              : Tokenizer::load_json(file.path());
    tokenizer.encode("ab \u8A9E<e>e\u0301");
  } catch (const Error& error) {
    const bool known = error.code() == ExitCode::damaged || error.code() == ExitCode::unsupported;
    EXPECT_TRUE(known) << what << error.what();
  }
}

void attack(const std::string& whole, bool sentencepiece) {
  for (std::size_t length = 0; length < whole.size(); ++length) {
    expect_answers(whole.substr(0, length), sentencepiece, std::to_string(length));
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int mask : {0x01, 0x10, 0xFF}) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ mask);
      expect_answers(flipped, sentencepiece, std::to_string(at));
    }
  }
}

TEST(TokenizerJson, NoPrefixOrFlippedByteCrashes) {
  attack(kSmall, false);
}

std::string field(char number, const std::string& bytes) {
  return std::string(1, static_cast<char>(number << 3 | 2)) + static_cast<char>(bytes.size()) +
         bytes;
}

TEST(SentencePiece, NoPrefixOrFlippedByteCrashes) {
  std::string model;
  for (const char* text : {"<unk>", "a", "b", "\u2581", "ab", "\u2581ab"}) {
    const char type = text[0] == '<' ? 2 : 1;
    model += field(1, field(1, text) + std::string("\x15\0\0\x80\xbf\x18", 6) + type);
  }
  model += field(2, std::string("\x18\x02\x98\x02\x01", 5)) + field(3, std::string("\x20\0", 2));
  const testing::MemoryFile file(model);
  const Tokenizer tokenizer = Tokenizer::load_sentencepiece(file.path());
  EXPECT_EQ(ids_of(tokenizer.encode("ab a")), (std::vector<std::int32_t>{5, 3, 1}));
  EXPECT_EQ(tokenizer.bytes(5), " ab");
  attack(model, true);
  // Lengths near 2^63 and 2^64.
  for (const char last : {'\x7F', '\x01'}) {
    const std::string length = std::string(9, '\xFF') + last;
    expect_answers("\x0A" + length + "abc", true, "length");
    expect_answers("\x12" + length, true, "length");
  }
}

}  // namespace
}  // namespace kappascope
