// Seeds of tokenizers: each component, each word of a pattern, each field of a model.
#include <vector>

#include "tests/fuzz/more_seeds.h"
#include "tests/fuzz/tiny_tokenizers.h"

namespace kappascope::testing {
namespace {

namespace fs = std::filesystem;

std::string listed(const std::string& list, const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) { text += (text.empty() ? "" : ",") + item; }
  return R"({"type":"Sequence",")" + list + "\":[" + text + "]}";
}

std::string plain(const std::string& type) {
  return R"({"type":")" + type + "\"}";
}

void write_normalizers(const fs::path& folder, WriteSeed* write) {
  const std::string model = R"("vocab":{"a":0,"<|end|>":1},"merges":[])";
  const auto seed = [&](const std::string& name, const std::vector<std::string>& steps) {
    write(folder / ("normalizer " + name),
          tokenizer_json("\"normalizer\":" + listed("normalizers", steps), model));
  };
  for (const char* form : {"NFC", "NFD", "NFKC", "NFKD", "Nmt", "StripAccents", "Lowercase"}) {
    seed(form, {plain(form)});
  }
  seed("accents", {plain("NFD"), plain("StripAccents"), plain("Nmt"),
                   R"({"type":"Strip","strip_left":true,"strip_right":false})",
                   R"({"type":"Strip","strip_left":false,"strip_right":true})"});
  seed("replaced", {R"~({"type":"Replace","pattern":{"Regex":"(?=a)|t+"},"content":"b"})~",
                    R"({"type":"Replace","pattern":{"String":"2"},"content":""})",
                    R"({"type":"Replace","pattern":{"String":"none"},"content":"x"})",
                    R"({"type":"Prepend","prepend":" "})"});
}

void write_pre_tokenizers(const fs::path& folder, WriteSeed* write) {
  const std::string model = R"("vocab":{"a":0,"<|end|>":1},"merges":[])";
  const auto seed = [&](const std::string& name, const std::string& step) {
    write(folder / ("pre_tokenizer " + name), tokenizer_json("\"pre_tokenizer\":" + step, model));
  };
  for (const char* behavior :
       {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"}) {
    seed(behavior,
         listed("pretokenizers",
                {R"({"type":"Split","pattern":{"String":"a"},"behavior":")" +
                     std::string(behavior) + R"(","invert":true})",
                 R"({"type":"Split","pattern":{"Regex":"\\w"},"behavior":")" +
                     std::string(behavior) + R"(","invert":false})",
                 R"({"type":"Punctuation","behavior":")" + std::string(behavior) + "\"}"}));
  }
  for (const char* type : {"Whitespace", "WhitespaceSplit", "Punctuation"}) {
    seed(type, plain(type));
  }
  seed("digits", R"({"type":"Digits","individual_digits":false})");
  seed("delimiter", R"({"type":"CharDelimiterSplit","delimiter":"t"})");
  seed("bytes", R"({"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true})");
  for (const char* scheme : {"always", "never", "first"}) {
    seed("metaspace " + std::string(scheme),
         R"({"type":"Metaspace","replacement":"_","split":true,"prepend_scheme":")" +
             std::string(scheme) + "\"}");
  }
  seed("metaspace of before",
       R"({"type":"Metaspace","replacement":"_","add_prefix_space":true,"str_rep":"_"})");
}

void write_others(const fs::path& folder, WriteSeed* write) {
  const auto around = [](const std::string& front, const std::string& back) {
    const auto special = [](const std::string& id) {
      return R"({"SpecialToken":{"id":")" + id + R"(","type_id":0}})";
    };
    return R"({"type":"TemplateProcessing","single":[)" + special(front) +
           R"(,{"Sequence":{"id":"A","type_id":0}},)" + special(back) +
           R"(],"pair":[],"special_tokens":{"b":{"id":"b","ids":[1],"tokens":["b"]},)"
           R"("e":{"id":"e","ids":[0,1],"tokens":["e"]}}})";
  };
  const std::string model =
      R"("dropout":null,"unk_token":"?","continuing_subword_prefix":"","end_of_word_suffix":null,)"
      R"("fuse_unk":false,"byte_fallback":false,"vocab":{"?":0,"<|end|>":1,"a":2,"t":3,"at":4},)"
      R"("merges":["#version: 0.2","a t"])";
  write(folder / "post_processors",
        tokenizer_json(
            "\"post_processor\":" +
                listed("processors", {plain("ByteLevel"), around("b", "e"), around("e", "b")}),
            model));
  write(folder / "decoders",
        tokenizer_json(
            "\"decoder\":" +
                listed("decoders",
                       {R"({"type":"Replace","pattern":{"String":"_"},"content":" "})",
                        plain("ByteFallback"), plain("Fuse"), plain("ByteLevel"),
                        R"({"type":"Strip","content":" ","start":1,"stop":0})",
                        R"({"type":"Metaspace","replacement":"_","prepend_scheme":"never"})"}),
            model));
  const auto added = [](const std::string& flags) {
    return R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[)"
           R"({"id":1,"content":"tests","special":false,)" +
           flags +
           R"(},{"id":2,"content":"test","special":true,"lstrip":false,"rstrip":false,)"
           R"("single_word":false,"normalized":false},{"id":3,"content":"na","special":false,)" +
           flags + R"(}],"normalizer":{"type":"Lowercase"},"model":{"vocab":{"a":0},"merges":[]}})";
  };
  write(folder / "added words",
        added(R"("lstrip":true,"rstrip":true,"single_word":true,"normalized":true)"));
  write(folder / "added parts",
        added(R"("lstrip":false,"rstrip":true,"single_word":false,"normalized":true)"));
}

// What a pattern may have, and what is refused.
constexpr const char* kPatterns[] = {R"~([\p{L}\pN&&]|\S+)~",
                                     R"~((?i)'s|(?<=a)b(?<!c)d(?!e)(?=f)(?>g)(h))~",
                                     R"~([]a\]]+[^]b]*)~",
                                     R"~((?i:\p{L})\p{Lo})~",
                                     R"~((?i:\p{Lu}))~",
                                     R"~(\p{})~",
                                     R"~(\p{Han}|\P{Thai})~",
                                     R"~(\p{Lu)~",
                                     R"~(\d\D\r\n\t\f\A\z\.)~",
                                     R"~(\w\W[\w]\x41\x{e9}\u00e9\Z)~",
                                     R"~([\W])~",
                                     R"~(\u00)~",
                                     R"~(\xe9)~",
                                     R"~(\q)~",
                                     R"~(^a$\Z)~",
                                     R"~(a{2}b{2,}c{,3}d{x}e{)~",
                                     R"~(a{2,3}+)~",
                                     R"~(a{2}?)~",
                                     R"~(a{,})~",
                                     R"~([[a]])~",
                                     R"~([a--b])~",
                                     R"~([a~~b])~",
                                     R"~((*ACCEPT))~",
                                     R"~((?<name>a))~",
                                     R"~((?)~",
                                     R"~((?i-i-i:a))~",
                                     R"~((?s-i:a))~",
                                     R"~(a(?i)b)~",
                                     R"~((?i-:a)(?-i:b))~",
                                     R"~((?:)~",
                                     R"~((?:a*)*b)~",
                                     R"~((a+)+$)~",
                                     R"~(\s+(?!\S)|\s)~",
                                     R"~()~",
                                     R"~(a\)~"};

void write_patterns(const fs::path& root, WriteSeed* write) {
  int number = 0;
  for (const char* pattern : kPatterns) {
    const std::string name = "pattern " + std::to_string(number++);
    write(root / "tokenizer_pickle" / name, tokenizer_pickle(pattern));
    write(root / "tokenizer_json" / name,
          tokenizer_json(R"("pre_tokenizer":{"type":"Split","behavior":"Isolated","invert":false,)"
                         R"("pattern":{"Regex":)" +
                             Json(pattern).dump() + "}}",
                         R"("vocab":{"a":0,"<|end|>":1},"merges":[])"));
  }
}

// Fields of a SentencePiece model: pieces of each type, and what a trainer and a normalizer say.
void write_pieces(const fs::path& folder, WriteSeed* write) {
  const std::string pieces = piece("<unk>", 2) + piece("<s>", 3) + piece("</s>", 3) +
                             piece("a", 1) + piece("aa", 1) + piece("\xE2\x96\x81", 1);
  const std::string bpe = sized_field(2, "\x18\x02");
  const auto trained = [&](const std::string& name, const std::string& spec) {
    write(folder / name, pieces + sized_field(2, "\x18\x02" + spec));
  };
  const auto normalized = [&](const std::string& name, const std::string& spec) {
    write(folder / name, pieces + bpe + sized_field(3, spec));
  };
  write(folder / "plain", pieces + bpe);
  write(folder / "user defined", pieces + piece("aaa", 4) + piece("b", 5) + bpe);
  trained("ids", std::string("\xc0\x02\x00\xc8\x02\x01\xd0\x02\x02\xea\x02\x05<unk>", 17) +
                     "\xf2\x02\x03<s>\xfa\x02\x04</s>");
  trained("no bos", "\xc8\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
  trained("space as suffix", "\xc0\x01\x01");
  trained("kind as text", "\x1a\x01x");
  trained("unknown piece that is no UTF-8", "\xea\x02\x01\xff");
  normalized("nothing", std::string("\x18\0\x20\0\x28\0", 6));
  normalized("all", std::string("\x18\1\x20\1\x28\1", 6));
  normalized("table", sized_field(1, "nmt_nfkc") + sized_field(2, "xx"));
  normalized("table without name", sized_field(2, "xx"));
  for (const char kind : {'\1', '\3', '\4', '\x9'}) {
    write(folder / ("kind " + std::to_string(int(kind))),
          pieces + sized_field(2, std::string("\x18") + kind));
  }
  write(folder / "wires", pieces + bpe + std::string("\x79") + std::string(8, 'x') + "\x7d" +
                              std::string(4, 'x') + std::string("\x78\1"));
  const std::vector<std::string> broken = {"",
                                           bpe,
                                           piece("a", 1) + bpe,
                                           piece("<unk>", 2) + piece("<unk>", 2) + bpe,
                                           piece("<unk>", 2) + piece("x", 6) + bpe,
                                           piece("<unk>", 2) + piece("a", 7) + bpe,
                                           piece("<unk>", 2) + piece("", 1) + bpe,
                                           pieces + piece("a", 1) + bpe,
                                           "\x0a\x20",
                                           "\x08\x01",
                                           std::string("\x02\0", 2),
                                           "\x0b",
                                           std::string(11, '\xff'),
                                           sized_field(1, "\x0d" + std::string(4, 'x')),
                                           sized_field(1, "\x11" + std::string(8, 'x')),
                                           sized_field(1, std::string("\x15\0\0\xc0\x7f", 5)),
                                           sized_field(1, "\x12\1x"),
                                           sized_field(1, "\x1d" + std::string(4, 'x')),
                                           sized_field(1, "\x19" + std::string(8, 'x'))};
  for (std::size_t i = 0; i < broken.size(); ++i) {
    write(folder / ("broken " + std::to_string(i)), broken[i]);
  }
}

void write_encodings(const fs::path& folder, WriteSeed* write) {
  using namespace pickled;
  const auto encoding = [&](const std::string& name, const std::string& state) {
    write(folder / name,
          file(text("tiktoken.core") + "\x94" + text("Encoding") + "\x93)\x81" + state + "b", 4));
  };
  encoding("state is a text", text("gpt2"));
  encoding("state is a list", "]");
  encoding("members of other kinds",
           dict({text("name"), "K\1", text("pat_str"), text("a"), text("pat_str"), text("a"),
                 text("more"), "N", "K\1", "N", text("mergeable_ranks"), "]"}));
  const auto ranks = [&](const std::string& name, const std::vector<std::string>& entries) {
    encoding(name, dict({text("name"), text("a"), text("pat_str"), text("a"),
                         text("mergeable_ranks"), dict(entries), text("special_tokens"),
                         dict({text("<a>"), "K\7", text("<b>"), "K\7"})}));
  };
  ranks("ranks of few bytes", {"C\1a", "K\1", "C\1b", "K\1", "C\1b", "K\2"});
  ranks("ranks of texts", {text("a"), "K\1", text("b"), "K\1"});
  ranks("ranks below 0", {"C\1a", integer(-1), "C\1b", integer(-2)});
  ranks("ranks of nothing",
        {std::string("C\0", 2), "K\1", "B" + number(300, 4) + std::string(300, 'a'), "K\2"});
  write(folder / "no object", file("]"));
}

}  // namespace

void write_tokenizer_seeds(const fs::path& root, WriteSeed* write) {
  write_normalizers(root / "tokenizer_json", write);
  write_pre_tokenizers(root / "tokenizer_json", write);
  write_others(root / "tokenizer_json", write);
  write_patterns(root, write);
  write_pieces(root / "sentencepiece", write);
  write_encodings(root / "tokenizer_pickle", write);
}

}  // namespace kappascope::testing
