#include "core/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/checkpoint/input_file.h"
#include "core/checkpoint/json.h"
#include "tests/unit/memory_file.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = KAPPASCOPE_SOURCE_DIR;

Tokenizer shipped_tokenizer() {
  return Tokenizer::load_tiktoken_pickle(kSource / "assets/tokenizer/tokenizer.pkl");
}

std::vector<std::int32_t> ids_of_tokens(const std::vector<Token>& tokens) {
  std::vector<std::int32_t> ids;
  for (const Token& token : tokens) { ids.push_back(token.id); }
  return ids;
}

// For text without gaps: the tokens' bytes are the text, and each spans the characters it touches.
void expect_tokens_cover(const Tokenizer& tokenizer, const std::vector<Token>& tokens,
                         const std::string& text) {
  std::vector<std::int32_t> character;  // of each byte
  for (const char c : text) {
    const bool continues = (static_cast<unsigned char>(c) & 0xC0) == 0x80;
    const std::int32_t last = character.empty() ? -1 : character.back();
    character.push_back(continues ? last : last + 1);
  }
  std::size_t at = 0;
  for (const Token& token : tokens) {
    const std::string_view bytes = tokenizer.bytes(token.id);
    ASSERT_EQ(text.substr(at, bytes.size()), bytes);
    EXPECT_EQ(token.char_start, character[at]) << text;
    EXPECT_EQ(token.char_end, character[at + bytes.size() - 1] + 1) << text;
    at += bytes.size();
  }
  EXPECT_EQ(at, text.size());
}

void expect_cases(const Tokenizer& tokenizer, const Json& cases, const char* ids_key) {
  for (const Json& one : cases) {
    const std::string text = one["text"];
    const std::vector<Token> tokens = tokenizer.encode_ordinary(text);
    EXPECT_EQ(ids_of_tokens(tokens), one[ids_key].get<std::vector<std::int32_t>>()) << text;
    expect_tokens_cover(tokenizer, tokens, text);
  }
}

TEST(Tokenizer, ShippedCases) {
  const fs::path path = kSource / "tests/unit/data/tokenizer_cases.json";
  const Json cases = parse_json(read_text_file(path, 1 << 20), path.string());
  ASSERT_GE(cases.size(), 40U);
  expect_cases(shipped_tokenizer(), cases, "ids");
}

TEST(Tokenizer, AllReferenceCases) {
  const char* oracle = std::getenv("KAPPASCOPE_ORACLE");
  if (oracle == nullptr) { GTEST_SKIP() << "KAPPASCOPE_ORACLE is not set"; }
  const fs::path folder = fs::path(oracle) / "tokenizer";
  const fs::path path = folder / "cases.json";
  const Json cases = parse_json(read_text_file(path, 1 << 24), path.string());
  ASSERT_EQ(cases.size(), 400U);
  expect_cases(Tokenizer::load_tiktoken_pickle(folder / "tokenizer.pkl"), cases, "nanochat");
}

TEST(Tokenizer, BosAndSpecialTokens) {
  const Tokenizer tokenizer = shipped_tokenizer();
  EXPECT_EQ(tokenizer.size(), 2048);
  EXPECT_EQ(tokenizer.name(), "rustbpe");
  EXPECT_EQ(tokenizer.bos(), 2039);
  EXPECT_TRUE(tokenizer.is_special(2039));
  EXPECT_FALSE(tokenizer.is_special(2038));
  EXPECT_EQ(tokenizer.bytes(2039), "<|bos|>");
  EXPECT_EQ(tokenizer.bytes(2038), "EIN");
  EXPECT_EQ(tokenizer.bytes(2048), "");
  EXPECT_EQ(tokenizer.bytes(-1), "");
  const std::vector<Token> tokens = tokenizer.encode("<|bos|>");
  ASSERT_GT(tokens.size(), 2U);  // in text it is plain text
  EXPECT_EQ(tokens[0].id, 2039);
  EXPECT_EQ(tokens[0].char_start, -1);
  EXPECT_EQ(tokens[0].char_end, -1);
  EXPECT_EQ(tokens[1].char_start, 0);
  EXPECT_EQ(tokens.back().char_end, 7);
  EXPECT_EQ(tokenizer.encode("").size(), 1U);
}

TEST(Tokenizer, RepeatedWordsKeepTheirOwnPlaces) {
  const Tokenizer tokenizer = shipped_tokenizer();
  std::string text;
  for (int i = 0; i < 200; ++i) { text += " Zyzzyvaéxq\u4E2D\U0001F600" + std::to_string(i % 7); }
  expect_tokens_cover(tokenizer, tokenizer.encode_ordinary(text), text);
}

TEST(Tokenizer, TextThatIsNoUtf8IsRefusedWithItsPlace) {
  try {
    shipped_tokenizer().encode("ab\xC3\xA9\xFFz", "a.txt");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::damaged);
    EXPECT_STREQ(error.what(), "a.txt: offset 4: expected UTF-8, found the byte 0xff");
  }
}

TEST(DisplayText, BytesThatAreNoTextAreEscaped) {
  EXPECT_EQ(display_text(std::string("a\0\xC3\xA9\xC3z\n", 7)), "a\\x00é\\xc3z\n");
  EXPECT_EQ(display_text("\xF0\x9F\x98"), "\\xf0\\x9f\\x98");
  EXPECT_EQ(hex_text(std::string("\0\xAB\x7F", 3)), "00ab7f");
}

// A pickle of an Encoding, member by member.
struct EncodingFile {
  std::vector<std::pair<std::string, std::int32_t>> ranks, specials{{"<|bos|>", 300}};
  std::string pattern = ".";
  std::string extra;  // more members, pickled

  EncodingFile() {
    for (int byte = 0; byte < 256; ++byte) { ranks.push_back({{static_cast<char>(byte)}, byte}); }
  }
  static std::string sized(char opcode, const std::string& text) {
    return opcode + number(static_cast<std::int32_t>(text.size())) + text;
  }
  static std::string number(std::int32_t value) {
    return {reinterpret_cast<const char*>(&value), 4};  // the files are little endian, as we are
  }
  static std::string dict(const std::vector<std::pair<std::string, std::int32_t>>& entries,
                          char key_opcode) {
    std::string out = "}(";
    for (const auto& [key, id] : entries) { out += sized(key_opcode, key) + "J" + number(id); }
    return out + "u";
  }
  static std::string object(const std::string& state) {
    return "\x80\x04" + sized('X', "tiktoken.core") + sized('X', "Encoding") + "\x93)\x81" + state +
           "b.";
  }
  std::string bytes() const {
    return object("}(" + sized('X', "name") + sized('X', "test") + sized('X', "pat_str") +
                  sized('X', pattern) + sized('X', "mergeable_ranks") + dict(ranks, 'B') +
                  sized('X', "special_tokens") + dict(specials, 'X') + extra + "u");
  }
};

Tokenizer load_pickle(const std::string& bytes) {
  const testing::MemoryFile file(bytes);
  return Tokenizer::load_tiktoken_pickle(file.path());
}

Failure failure(const std::string& bytes) {
  try {
    load_pickle(bytes);
  } catch (const Error& error) { return error.failure(); }
  return {};
}

void expect_refused(const EncodingFile& file, ExitCode code, const std::string& words) {
  const Failure found = failure(file.bytes());
  EXPECT_EQ(found.code, code) << found.message;
  EXPECT_NE(found.message.find(words), std::string::npos) << found.message;
}

TEST(TiktokenPickle, SmallOneLoads) {
  EncodingFile file;
  file.ranks.push_back({"ab", (1 << 24) - 1});  // ids may lie far apart
  file.pattern = "[^!]+";
  const Tokenizer tokenizer = load_pickle(file.bytes());
  EXPECT_EQ(ids_of_tokens(tokenizer.encode("ab!b")),
            (std::vector<std::int32_t>{300, (1 << 24) - 1, 'b'}));
  EXPECT_EQ(tokenizer.encode("ab!b").back().char_start, 3);
  EXPECT_EQ(tokenizer.size(), 1 << 24);
}

TEST(TiktokenPickle, EndOfTextStandsInForBos) {
  EncodingFile file;
  file.specials = {{"<|endoftext|>", 400}};
  EXPECT_EQ(load_pickle(file.bytes()).bos(), 400);
  file.specials = {{"<|end|>", 400}};
  const Tokenizer tokenizer = load_pickle(file.bytes());
  EXPECT_EQ(tokenizer.encode_ordinary("a").size(), 1U);
  EXPECT_THROW(tokenizer.encode("a"), Error);
}

TEST(TiktokenPickle, FaultyTokensAreRefused) {
  const auto with = [](const std::function<void(EncodingFile&)>& change) {
    EncodingFile file;
    change(file);
    return file;
  };
  using File = EncodingFile;
  const auto damaged = ExitCode::damaged;
  expect_refused(with([](File& f) { f.ranks.pop_back(); }), damaged, "the first is 255");
  expect_refused(with([](File& f) { f.ranks.push_back({"ab", 7}); }), damaged, "id 7 twice");
  expect_refused(with([](File& f) { f.ranks.push_back({"a", 800}); }), damaged, "token a twice");
  expect_refused(with([](File& f) { f.ranks.push_back({"", 800}); }), damaged, "found 0");
  expect_refused(with([](File& f) { f.ranks.push_back({std::string(4097, 'a'), 800}); }), damaged,
                 "found 4097");
  expect_refused(with([](File& f) { f.ranks.push_back({"ab", -1}); }), damaged, "found -1");
  expect_refused(with([](File& f) { f.ranks.push_back({"ab", 1 << 24}); }), damaged,
                 "found 16777216");
  expect_refused(with([](File& f) { f.specials.push_back({"<|x|>", 5}); }), damaged, "id 5 twice");
  expect_refused(with([](File& f) { f.specials.push_back({"<|bos|>", 9000}); }), damaged,
                 "special token <|bos|> twice");
  expect_refused(with([](File& f) { f.pattern = "(?<n>a)"; }), ExitCode::unsupported, "(?<");
  expect_refused(with([](File& f) { f.extra = File::sized('X', "normalizer") + "N"; }),
                 ExitCode::unsupported, "unknown member \"normalizer\"");
}

TEST(TiktokenPickle, AllFaultsAtOnce) {
  const Failure found =
      failure(EncodingFile::object("}" + EncodingFile::sized('X', "name") + "Ns"));
  EXPECT_EQ(found.code, ExitCode::damaged);
  for (const char* member : {"member name;", "pat_str", "mergeable_ranks", "special_tokens"}) {
    EXPECT_NE(found.message.find(member), std::string::npos) << found.message;
  }
}

TEST(TiktokenPickle, AnEncodingByNameOnlyIsUnsupported) {
  const Failure found = failure(EncodingFile::object(EncodingFile::sized('X', "cl100k_base")));
  EXPECT_EQ(found.code, ExitCode::unsupported);
  EXPECT_NE(found.message.find("cl100k_base"), std::string::npos) << found.message;
}

TEST(TiktokenPickle, NoPrefixLoads) {
  const std::string whole = EncodingFile().bytes();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_EQ(failure(whole.substr(0, length)).code, ExitCode::damaged) << length;
  }
}

TEST(TiktokenPickle, NoFlippedByteCrashes) {
  const std::string whole = EncodingFile().bytes();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ (at % 2 == 0 ? 0xFF : 0x01));
    const ExitCode code = failure(flipped).code;
    EXPECT_TRUE(code == ExitCode::ok || code == ExitCode::damaged || code == ExitCode::unsupported)
        << at;
  }
}

}  // namespace
}  // namespace kappascope
