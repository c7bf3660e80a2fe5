// Tokenizers that contradict themselves, do not end, or grow without bound.
#include "core/tokenizer/tokenizer.h"

#include "tests/refused/refused.h"
#include "tests/unit/tiny_pt.h"

namespace kappascope::refused {
namespace {

using namespace testing::pickled;
using testing::number;

const std::string kText = "ab \u8A9E<e> and a longer word";

auto json(const std::string& bytes, const std::string& text = kText) {
  return file_row("tokenizer.json", bytes,
                  [=](const auto& path) { Tokenizer::load(path).encode(text, "text"); });
}
auto sentencepiece(const std::string& bytes) {
  return file_row("tokenizer.model", bytes,
                  [](const auto& path) { Tokenizer::load(path).encode(kText, "text"); });
}
auto tiktoken(const std::string& bytes, const std::string& text = kText) {
  return file_row("tokenizer.pkl", bytes,
                  [=](const auto& path) { Tokenizer::load(path).encode(text, "text"); });
}

// A tokenizer.json of these components and this inside of "model".
auto parts(const std::string& components, const std::string& model,
           const std::string& text = kText) {
  return json(R"({"added_tokens":[{"id":0,"content":"<e>","single_word":false,"lstrip":false,)"
              R"("rstrip":false,"normalized":false,"special":true}])" +
                  components + R"(,"model":{"type":"BPE",)" + model + "}}",
              text);
}
const std::string kVocab = R"("vocab":{"<e>":0,"a":1,"b":2,"ab":3},"merges":["a b"])";
auto split(const std::string& regex, const std::string& text) {
  return parts(R"(,"pre_tokenizer":{"type":"Split","pattern":{"Regex":")" + regex +
                   R"("},"behavior":"Isolated","invert":false})",
               kVocab, text);
}
std::string growing() {
  std::string steps;
  for (int i = 0; i < 40; ++i) {
    steps += std::string(i == 0 ? "" : ",") +
             R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"})";
  }
  return R"(,"normalizer":{"type":"Sequence","normalizers":[)" + steps + "]}";
}

Rows json_rows() {
  return {
      {"empty tokenizer.json", json(""), "3 DIR/tokenizer.json: the file is empty; expected JSON"},
      {"tokenizer.json is a list", json("[]"),
       "3 DIR/tokenizer.json: expected an object with a \"model\", found []"},
      {"tokenizer.json cut", json(R"({"model":{"type":"BPE","vocab":{"a":0)"),
       "3 DIR/tokenizer.json: offset 36: invalid JSON: syntax error while parsing object - "
       "unexpected end of input; expected '}'"},
      {"a misspelled field of tokenizer.json", parts(R"(,"normaliser":null)", kVocab),
       "4 DIR/tokenizer.json: unknown field normaliser; a tokenizer.json has none of that name"},
      {"tokenizer.json without a model", json("{}"),
       "3 DIR/tokenizer.json: expected an object with a \"model\", found {}"},
      {"tokenizer.json is a web page", json("<!doctype html><html>"),
       "4 DIR/tokenizer.json: a web page (HTML), not the file that was to be downloaded; take the "
       "address of the file itself (on Hugging Face /resolve/ instead of /blob/): curl -fL -o "
       "'DIR/tokenizer.json' ADDRESS"},
      {"model of another kind", json(R"({"model":{"type":"Unigram","vocab":[]}})"),
       "4 DIR/tokenizer.json: model.type; expected BPE, found \"Unigram\""},
      {"vocabulary is a list", parts("", R"("vocab":["a"],"merges":[])"),
       "3 DIR/tokenizer.json: model.vocab; expected an object of ids, found [\"a\"]"},
      {"id as text", parts("", R"("vocab":{"<e>":0,"a":"1"},"merges":[])"),
       "3 DIR/tokenizer.json: model.vocab, token \"a\"; expected an id from 0 to 16777215, found "
       "\"1\""},
      {"negative id", parts("", R"("vocab":{"<e>":0,"a":-1},"merges":[])"),
       "3 DIR/tokenizer.json: model.vocab, token \"a\"; expected an id from 0 to 16777215, found "
       "-1"},
      {"id of 2^31", parts("", R"("vocab":{"<e>":0,"a":2147483648},"merges":[])"),
       "3 DIR/tokenizer.json: model.vocab, token \"a\"; expected an id from 0 to 16777215, found "
       "2147483648"},
      {"id of two tokens", parts("", R"("vocab":{"<e>":0,"a":1,"b":1},"merges":[])"),
       "3 DIR/tokenizer.json: model.vocab: two tokens have the id 1"},
      {"token twice", parts("", R"("vocab":{"<e>":0,"a":1,"a":2},"merges":[])"),
       "3 DIR/tokenizer.json: offset 174: duplicate key 'a'"},
      {"merge of one part", parts("", R"("vocab":{"<e>":0,"a":1},"merges":["a"])"),
       "3 DIR/tokenizer.json: model.merges[0]; expected \"LEFT RIGHT\" or [\"LEFT\", \"RIGHT\"], "
       "found \"a\""},
      {"merge of an unknown token", parts("", R"("vocab":{"<e>":0,"a":1},"merges":["a z"])"),
       "3 DIR/tokenizer.json: model.merges[0]: \"z\" is not a token of model.vocab"},
      {"merge into nothing", parts("", R"("vocab":{"<e>":0,"a":1,"b":2},"merges":["a b"])"),
       "3 DIR/tokenizer.json: model.merges[0]: \"ab\" is not a token of model.vocab"},
      {"merge is a number", parts("", R"("vocab":{"<e>":0,"a":1},"merges":[7])"),
       "3 DIR/tokenizer.json: model.merges[0]; expected \"LEFT RIGHT\" or [\"LEFT\", \"RIGHT\"], "
       "found 7"},
      {"merges missing", parts("", R"("vocab":{"<e>":0,"a":1})"),
       "3 DIR/tokenizer.json: model.merges; expected a list, found nothing"},
      {"unknown token that is not there", parts("", R"("unk_token":"<u>",)" + kVocab),
       "3 DIR/tokenizer.json: model.unk_token \"<u>\" is not a token of model.vocab"},
      {"added token with another id",
       json(
           R"({"added_tokens":[{"id":7,"content":"a","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],"model":{"type":"BPE",)" +
           kVocab + "}}"),
       "3 DIR/tokenizer.json: the added token \"a\"; expected the id 1, which the token has in the "
       "vocabulary, found 7"},
      {"added token without text",
       json(R"({"added_tokens":[{"id":9}],"model":{"type":"BPE",)" + kVocab + "}}"),
       "3 DIR/tokenizer.json: added_tokens[0]; expected an object with \"id\" and \"content\", "
       "found {\"id\":9}"},
      {"added tokens are a dict",
       json(R"({"added_tokens":{},"model":{"type":"BPE",)" + kVocab + "}}"),
       "3 DIR/tokenizer.json: added_tokens; expected a list, found {}"}};
}

Rows component_rows() {
  return {
      {"unknown normalizer", parts(R"(,"normalizer":{"type":"Evil"})", kVocab),
       "4 DIR/tokenizer.json: normalizer.type; expected one of NFC, NFD, NFKC, NFKD, Lowercase, "
       "Nmt, Prepend, Replace, Strip, StripAccents, Sequence, found \"Evil\""},
      {"unknown pre-tokenizer", parts(R"(,"pre_tokenizer":{"type":"Evil"})", kVocab),
       "4 DIR/tokenizer.json: pre_tokenizer.type; expected one of ByteLevel, Split, Metaspace, "
       "Digits, Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit, Sequence, found "
       "\"Evil\""},
      {"pattern that does not compile", split("(a", "ab"),
       "4 DIR/tokenizer.json: the pattern does not compile: missing closing parenthesis at byte 2 "
       "of (a"},
      {"pattern with a look-behind of no length", split("(?<=a*)b", "ab"),
       "4 DIR/tokenizer.json: the pattern does not compile: lookbehind assertion is not fixed "
       "length at byte 0 of (?<=a*)b"},
      {"pattern that tries for ever", split("(a+)+$", std::string(40, 'a') + "b"),
       "3 DIR/tokenizer.json: the pattern costs too much at byte 0 of text; expected work linear "
       "in the text's length, stopped after 2097152 steps"},
      {"pattern that calls itself", split("(a|(?1)b)", "b"),
       "4 DIR/tokenizer.json: the pattern has \"(?1\" at byte 3, which is not supported"},
      {"normalizer that grows a text", parts(growing(), kVocab, "a"),
       "3 text: the tokenizer's normalizer makes the text grow beyond 65600 bytes"},
      {"dropout", parts("", R"("dropout":0.5,)" + kVocab),
       "4 DIR/tokenizer.json: model.dropout; expected null or 0, found 0.5"}};
}

std::string encoding(const std::string& ranks, const std::string& pattern = "\\S+|\\s+",
                     const std::string& special = dict({text("<|bos|>"), "M" + number(260, 2)})) {
  const std::string state = dict({text("name"), text("tiny"), text("pat_str"), text(pattern),
                                  text("mergeable_ranks"), ranks, text("special_tokens"), special});
  return file(text("tiktoken.core") + "\x94" + text("Encoding") + "\x93)\x81" + state + "b", 4);
}
std::string token(const std::string& bytes, std::uint64_t id) {
  return "C" + number(bytes.size(), 1) + bytes + "M" + number(id, 2);
}
std::string bytes_from(unsigned first) {
  std::string ranks;
  for (unsigned byte = first; byte < 256; ++byte) { ranks += token(number(byte, 1), byte); }
  return ranks;
}
std::string ranks(const std::string& more, unsigned first = 0) {
  return "}(" + bytes_from(first) + more + "u";
}

Rows tiktoken_rows() {
  const std::string run = global("os", "system") + tuple({text("id")}) + "R";
  return {
      {"empty tokenizer.pkl", tiktoken(""),
       "3 DIR/tokenizer.pkl: offset 0: pickle: ends without STOP"},
      {"tokenizer.pkl runs a program", tiktoken(file(run)),
       "3 DIR/tokenizer.pkl: offset 2: pickle: global 'os system' is not allowed"},
      {"tokenizer.pkl is a number", tiktoken(file("K\7")),
       "3 DIR/tokenizer.pkl: offset 2: expected one object tiktoken.core Encoding with its state, "
       "found an integer"},
      {"Encoding without a state",
       tiktoken(file(text("tiktoken.core") + "\x94" + text("Encoding") + "\x93)\x81", 4)),
       "3 DIR/tokenizer.pkl: offset 36: expected one object tiktoken.core Encoding with its state, "
       "found an object"},
      {"class of another name",
       tiktoken(file(text("tiktoken.core") + "\x94" + text("Decoding") + "\x93)\x81}b", 4)),
       "3 DIR/tokenizer.pkl: offset 34: pickle: global 'tiktoken.core Decoding' is not allowed"},
      {"byte without a token", tiktoken(encoding(ranks("", 1))),
       "3 DIR/tokenizer.pkl: mergeable_ranks: 1 single bytes have no token; the first is 0"},
      {"rank of two tokens", tiktoken(encoding(ranks(token("aa", 97)))),
       "3 DIR/tokenizer.pkl: id 97 twice"},
      {"token of two ranks", tiktoken(encoding(ranks(token("a", 300)))),
       "3 DIR/tokenizer.pkl: token a twice"},
      {"token without bytes", tiktoken(encoding(ranks(token("", 300)))),
       "3 DIR/tokenizer.pkl: mergeable_ranks, offset 1639: expected a token of 1 to 4096 bytes, "
       "found 0"},
      {"rank as text", tiktoken(encoding(ranks("C\1z" + text("z")))),
       "3 DIR/tokenizer.pkl: mergeable_ranks, offset 1639: expected bytes and an integer, found "
       "bytes and a text"},
      {"negative rank", tiktoken(encoding(ranks("C\2zz" + integer(-1)))),
       "3 DIR/tokenizer.pkl: mergeable_ranks, offset 1643: expected an id from 0 to 16777215, "
       "found -1"},
      {"rank of 2^40", tiktoken(encoding(ranks("C\2zz" + integer(std::int64_t{1} << 40)))),
       "3 DIR/tokenizer.pkl: mergeable_ranks, offset 1643: expected an id from 0 to 16777215, "
       "found 1099511627776"},
      {"special token with a rank",
       tiktoken(encoding(ranks(""), "\\S+|\\s+", dict({text("<|bos|>"), "M" + number(97, 2)}))),
       "3 DIR/tokenizer.pkl: id 97 twice"},
      {"no token to begin with", tiktoken(encoding(ranks(""), "\\S+|\\s+", "}")),
       "4 DIR/tokenizer.pkl: no token that begins a text; expected a special token <|bos|> or "
       "<|endoftext|>"},
      {"tiktoken pattern that does not compile", tiktoken(encoding(ranks(""), "[")),
       "4 DIR/tokenizer.pkl: the pattern does not compile: missing terminating ] for character "
       "class at byte 1 of ["},
      {"tiktoken pattern that tries for ever",
       tiktoken(encoding(ranks(""), "(a+)+$|\\s+"), std::string(40, 'a') + "b"),
       "3 DIR/tokenizer.pkl: the pattern costs too much at byte 0 of text; expected work linear in "
       "the text's length, stopped after 2097152 steps"},
      {"text in Latin-1", tiktoken(encoding(ranks("")), "caf\xe9"),
       "3 text: offset 3: expected UTF-8, found the byte 0xe9"},
      {"text cut in a character", tiktoken(encoding(ranks("")), "ab\xe2\x82"),
       "3 text: offset 2: expected UTF-8, found the byte 0xe2"},
      {"surrogate in a text", tiktoken(encoding(ranks("")), "ab\xed\xa0\x80"),
       "3 text: offset 2: expected UTF-8, found the byte 0xed"}};
}

std::string sized(char field, const std::string& bytes) {
  std::string made(1, char(field << 3 | 2));
  std::size_t size = bytes.size();
  for (; size >= 128; size >>= 7) { made += char(size | 128); }
  return made + char(size) + bytes;
}
std::string piece(const std::string& text, char type = 1) {
  return sized(1, sized(1, text) + std::string("\x15\0\0\x80\xbf\x18", 6) + type);
}
const std::string kPieces = piece("<unk>", 2) + piece("<s>", 3) + piece("a") + piece("b");
const std::string kTrainer = sized(2, std::string("\x18\x02", 2));

Rows sentencepiece_rows() {
  return {{"empty tokenizer.model", sentencepiece(""),
           "3 DIR/tokenizer.model: expected a SentencePiece model, found no pieces in it"},
          {"field past the end", sentencepiece(kPieces + "\x0a\x7f"),
           "3 DIR/tokenizer.model: offset 56: a field ends too early; expected 127 bytes, found 0"},
          {"length of 2^63", sentencepiece(kPieces + "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
           "3 DIR/tokenizer.model: offset 64: a field ends too early; expected 9223372036854775807 "
           "bytes, found 0"},
          {"number that does not end", sentencepiece(kPieces + std::string(12, '\xff')),
           "3 DIR/tokenizer.model: offset 54: expected a number of at most 10 bytes, found a "
           "longer one"},
          {"field of an unknown type", sentencepiece(kPieces + "\x0f"),
           "3 DIR/tokenizer.model: offset 54: field 1; expected a wire type 0, 1, 2 or 5, found 7"},
          {"field 0", sentencepiece(kPieces + std::string("\x02\0", 2)),
           "3 DIR/tokenizer.model: offset 54: expected the number of a field, found 0"},
          {"SentencePiece of another kind",
           sentencepiece(kPieces + sized(2, std::string("\x18\x01", 2))),
           "4 DIR/tokenizer.model: trainer_spec.model_type; expected BPE, found unigram"},
          {"piece twice", sentencepiece(kPieces + piece("a") + kTrainer),
           "3 DIR/tokenizer.model: pieces 2 and 4 are both \"a\""},
          {"piece without text", sentencepiece(kPieces + piece("") + kTrainer),
           "4 DIR/tokenizer.model: pieces[4].piece; expected 1 to 512 bytes, found 0"},
          {"piece that is no UTF-8", sentencepiece(kPieces + piece("\xff") + kTrainer),
           "3 DIR/tokenizer.model: offset 58: pieces, field 1; expected UTF-8, found other bytes"},
          {"piece of an unknown type", sentencepiece(kPieces + piece("c", 9) + kTrainer),
           "4 DIR/tokenizer.model: pieces[4].type; expected 1 to 6, found 9"},
          {"no unknown piece", sentencepiece(piece("a") + kTrainer),
           "3 DIR/tokenizer.model: pieces; expected one of type 2 (unknown), found 0"},
          {"two unknown pieces", sentencepiece(kPieces + piece("<u>", 2) + kTrainer),
           "3 DIR/tokenizer.model: pieces; expected one of type 2 (unknown), found 2"},
          {"byte piece of no byte", sentencepiece(kPieces + piece("<0xZZ>", 6) + kTrainer),
           "3 DIR/tokenizer.model: pieces[4].piece; expected a byte as <0x00> to <0xFF>, found "
           "\"<0xZZ>\""}};
}

}  // namespace

Rows tokenizer_rows() {
  return joined({json_rows(), component_rows(), tiktoken_rows(), sentencepiece_rows()});
}

}  // namespace kappascope::refused
