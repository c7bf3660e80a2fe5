// Small tokenizers of each form.
#pragma once

#include <string>
#include <vector>

#include "core/checkpoint/json.h"
#include "tests/unit/tiny_pt.h"

namespace kappascope::testing {

inline const std::vector<std::string> kChatSpecials = {
    "<|bos|>",          "<|user_start|>",    "<|user_end|>",
    "<|python_start|>", "<|python_end|>",    "<|assistant_start|>",
    "<|output_start|>", "<|assistant_end|>", "<|output_end|>"};

// An encoding of the 256 bytes and a few merges, as protocol 4 writes it.
// `specials`: behind them, from 260.
inline std::string tokenizer_pickle(const std::string& pattern,
                                    const std::vector<std::string>& specials = {"<|bos|>"}) {
  using namespace pickled;
  std::string ranks = "}(";
  const auto token = [&](const std::string& bytes, std::uint64_t id) {
    ranks += "C" + number(bytes.size(), 1) + bytes + "\x94M" + number(id, 2);
  };
  for (unsigned byte = 0; byte < 256; ++byte) { token(number(byte, 1), byte); }
  token("aa", 256);
  token("aaaa", 257);
  token(" te", 259);
  token("st", 258);
  ranks += "u";
  std::string names = "}(";
  for (std::size_t i = 0; i < specials.size(); ++i) {
    names += text(specials[i]) + "M" + number(260 + i, 2);
  }
  const std::string state =
      dict({text("name"), text("tiny"), text("pat_str"), text(pattern), text("mergeable_ranks"),
            ranks, text("special_tokens"), names + "u"});
  return file(text("tiktoken.core") + "\x94" + text("Encoding") + "\x93)\x81" + state + "b", 4);
}

// A tokenizer.json with the components given.
inline std::string tokenizer_json(const std::string& components, const std::string& model) {
  return R"({"version":"1.0","added_tokens":[{"id":1,"content":"<|end|>","single_word":false,)"
         R"("lstrip":true,"rstrip":false,"normalized":false,"special":true}],)" +
         components + R"(,"model":{"type":"BPE",)" + model + "}}";
}

// Every byte is a token, as tokenizer.json of the families with bytes as signs.
inline std::string byte_tokenizer_json() {
  Json vocabulary = Json::object({{"a", 0}, {"<|end|>", 1}});
  for (const std::string& sign : {std::string("\u0120"), std::string("\u010a")}) {
    vocabulary[sign] = vocabulary.size();
  }
  for (char letter = '!'; letter <= '~'; ++letter) {
    vocabulary.emplace(std::string(1, letter), vocabulary.size());
  }
  return tokenizer_json(
      R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true})",
      R"("vocab":)" + vocabulary.dump() + R"(,"merges":[])");
}

// A field of wire type 2; `bytes` are shorter than 128.
inline std::string sized_field(char number, const std::string& bytes) {
  return std::string(1, static_cast<char>(number << 3 | 2)) + static_cast<char>(bytes.size()) +
         bytes;
}

// A piece of a SentencePiece model, of score −1.
inline std::string piece(const std::string& text, char type) {
  return sized_field(1, sized_field(1, text) + std::string("\x15\0\0\x80\xbf\x18", 6) + type);
}

inline std::string sentencepiece() {
  std::string model = piece("<unk>", 2) + piece("<s>", 3);
  for (const char* text : {"a", "b", "\u2581", "ab", "\u2581ab"}) { model += piece(text, 1); }
  model += piece("<0x0A>", 6) + piece("aaa", 4);
  // model_type 2, byte_fallback; no extra spaces removed
  return model + sized_field(2, std::string("\x18\x02\x98\x02\x01", 5)) +
         sized_field(3, sized_field(1, "identity") + std::string("\x20\0", 2));
}

}  // namespace kappascope::testing
