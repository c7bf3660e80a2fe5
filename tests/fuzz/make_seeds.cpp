// make_seeds DIR FAMILIES: writes the inputs the fuzz targets start from into DIR/TARGET/.
// FAMILIES: a folder of small Hugging Face folders.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "core/model/model.h"
#include "core/trace/npy_header.h"
#include "core/trace/npz.h"
#include "tests/fuzz/more_seeds.h"
#include "tests/fuzz/tiny_tokenizers.h"
#include "tests/tools/synthetic.h"
#include "tests/tools/synthetic_trace.h"
#include "tests/unit/packed.h"
#include "tests/unit/tiny_pt.h"
#include "tests/unit/tiny_safetensors.h"

namespace kappascope::testing {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string parameter_pickle(char protocol) {
  using namespace pickled;
  const std::string parameter = call(global("torch._utils", "_rebuild_parameter"),
                                     tuple({tensor({}), "\x88", ordered_dict()}));
  return file(ordered_dict() + "(" + text("_orig_mod.w") + "q" + '\0' + parameter + text("v") +
                  tensor({.type = "HalfStorage",
                          .key = "1",
                          .storage_elements = 3,
                          .shape = {3},
                          .strides = {1}}) +
                  "u" + dict({text("_metadata"), ordered_dict()}) + "b",
              protocol);
}

// The forms of text by their digits; 3 more: gzip, 6 more: zstd.
void write_corpus(const fs::path& folder) {
  const std::string lines = "{\"text\":\"a\\n\",\"domain\":1}\n\r\n{\"txt\":2}\n";
  const std::string records = "\xEF\xBB\xBFtext,domain\r\n\"a, \"\"b\"\"\n\",c\n\nd,";
  write(folder / "text", "0one\n\xC3\xA9");
  write(folder / "lines", "1" + lines);
  write(folder / "records", "2" + records);
  write(folder / "lines_gzip", "4" + gzip_of(lines) + gzip_of(lines));
  write(folder / "records_zstd", "8" + zstd_of(records) + zstd_of("e,f\n"));
}

void write_chat_templates(const fs::path& folder) {
  write(folder / "inst",
        "{%- if messages[0]['role'] == 'system' %}{%- set loop_messages = messages[1:] %}"
        "{%- else %}{%- set loop_messages = messages %}{%- endif %}\n{{- bos_token }}\n"
        "{%- for m in loop_messages if m.content %}{% if m.role == 'user' and not loop.last %}"
        "{{ '[INST] ' + m['content'] | trim ~ ' [/INST]' }}{% elif m.role is defined %}"
        "{% generation %}{{ m.content.split('</think>')[-1] }}{% endgeneration %}{{ eos_token }}"
        "{% else %}{{ raise_exception('no') }}{% endif %}{#- c #}{% endfor %}");
  write(folder / "names",
        "{% set ns = namespace(i=messages|length - 1) %}{% for x in range(3) %}"
        "{% set ns.i = ns.i * 2 + x // 1 %}{% endfor %}{{ ns.i if ns.i >= 1 else 'a'[::1] }}");
}

// Members of other classes and types, views of any steps, dicts in dicts.
std::string strange_pickle() {
  using namespace pickled;
  const std::string view = tensor({.shape = {3, 2}, .strides = {1, 3}});
  const std::string attributes = call(global("torch._tensor", "_rebuild_from_type_v2"),
                                      tuple({global("torch._utils", "_rebuild_tensor_v2"),
                                             global("torch", "Tensor"), tuple({view, "N"}), "}"}));
  const std::string float8 = call(
      global("torch._utils", "_rebuild_tensor_v3"),
      tuple({storage(global("torch.storage", "UntypedStorage"), "0", 24), integer(0), integers({6}),
             integers({1}), "\x89", ordered_dict(), global("torch", "float8_e4m3fn")}));
  return file(
      dict({text("model"),
            dict({text("module.w"), view, text("e"), tensor({.shape = {9, 9}, .strides = {0, 0}})}),
            text("a"), attributes, text("f"), float8, text("s"), "\x8f(K\1\x90", text("o"),
            call(global("my", "Class"), tuple({"N"})) + "}b", text("n"),
            "\x8a\x0a" + std::string(10, 'n')}),
      4);
}

void write_tokenizer_json(const fs::path& folder) {
  write(
      folder / "bytes",
      tokenizer_json(
          R"("normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"Sequence","pretokenizers":[)"
          R"~({"type":"Split","pattern":{"Regex":"\\p{N}{1,3}|\\s+(?!\\S)"},"behavior":"Isolated",)~"
          R"("invert":false},{"type":"Digits","individual_digits":true},)"
          R"({"type":"ByteLevel","add_prefix_space":true,"use_regex":true}]})",
          R"("ignore_merges":true,"vocab":{"a":0,"<|end|>":1,"aa":2,"\u0120":3,"\u0120a":4},)"
          R"("merges":[["a","a"],["\u0120","a"]])"));
  write(
      folder / "pieces",
      tokenizer_json(
          R"("normalizer":{"type":"Sequence","normalizers":[{"type":"Lowercase"},)"
          R"({"type":"Prepend","prepend":"\u2581"},{"type":"Replace","pattern":{"String":" "},)"
          R"("content":"\u2581"},{"type":"Strip","strip_left":true,"strip_right":true}]},)"
          R"("post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>",)"
          R"("type_id":0}},{"Sequence":{"id":"A","type_id":0}}],)"
          R"("special_tokens":{"<s>":{"id":"<s>","ids":[1],"tokens":["<s>"]}}})",
          R"("unk_token":"?","fuse_unk":true,"byte_fallback":true,"vocab":{"?":0,"<|end|>":1,)"
          R"("a":2,"\u2581":3,"\u2581a":4,"<0xE8>":5},"merges":["\u2581 a"])"));
  write(
      folder / "metaspace",
      tokenizer_json(
          R"("pre_tokenizer":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"first",)"
          R"("split":true},"decoder":{"type":"Metaspace","replacement":"\u2581"})",
          R"("vocab":{"a":0,"<|end|>":1,"\u2581":2},"merges":[])"));
}

// The trace and the parameters of a small model.
void write_traces(const fs::path& root) {
  synthetic::ModelSpec model;
  model.layers = 2;
  model.experts = 2;
  model.slots = 1;
  synthetic::TraceSpec trace;
  trace.tokens = 2;
  synthetic::write_model(root / "model", model);
  synthetic::write_trace(root / "npz", open_model(root / "model"), trace);
  compress_npz(root / "npz" / "trace.npz", root / "npz" / "compressed.npz");
  const std::string experts(std::size_t{3} * 2 * 2 * 2, '\0');  // [T,R,K]
  write(root / "npz" / "routes.npy", npy_header({"", NpyType::int16, {3, 2, 2}}) + experts);
}

void write_all(const fs::path& root, const fs::path& families) {
  fs::remove_all(root);
  write_traces(root);
  const std::vector<TinyEntry> entries = checkpoint_entries(checkpoint_pickle());
  for (const char* target : {"zip", "torch_pt"}) {
    write(root / target / "zip64", tiny_zip(entries).flat());
    write(root / target / "zip32", tiny_zip(entries, false).flat());
  }
  for (const char* target : {"pickle", "torch_pt"}) {
    write(root / target / "dict", checkpoint_pickle());
    write(root / target / "ordered_dict", parameter_pickle(2));
    write(root / target / "protocol5", parameter_pickle(5));
    write(root / target / "strangers", strange_pickle());
  }
  const std::string tensors = R"({"__metadata__":{"format":"pt"},"a":)" +
                              safetensors_entry("BF16", "[2,3]", "[4,16]") +
                              ",\"b\":" + safetensors_entry("F32", "[]", "[0,4]") + "}";
  write(root / "safetensors" / "file", safetensors_of(tensors, 16));
  write(root / "safetensors" / "header", tensors + "\n" + std::string(15, 'x'));
  write(root / "pickle" / "tokenizer", tokenizer_pickle("\\S+|\\s+"));
  write(root / "tokenizer_pickle" / "words", tokenizer_pickle("\\S+|\\s+"));
  write(root / "tokenizer_pickle" / "gpt4",
        tokenizer_pickle(R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}|)"
                         R"( ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"));
  write_tokenizer_json(root / "tokenizer_json");
  write(root / "sentencepiece" / "bpe", sentencepiece());
  write(root / "tasks" / "choice", R"(0{"query":"q","choices":["a","b"],"gold":1})");
  write(root / "tasks" / "schema", R"(0{"context_options":["a"],"continuation":"b","gold":0})");
  write(root / "tasks" / "continuation", R"(0{"context":"a","continuation":"b"})");
  write(root / "tasks" / "bundle",
        "1icl_tasks:\n-\n  label: a\n  dataset_uri: 'b'\n  num_fewshot: [0]\n"
        "  icl_task_type: schema\n  continuation_delimiter: \"\\n\"\n");
  write(root / "tasks" / "baselines", "2Eval Task,Random baseline\na,25\n\"b, c\",0.5\n");
  write_corpus(root / "corpus");
  write_more_seeds(root, families, write);
  write_tokenizer_seeds(root, write);
  write_pickle_seeds(root, write);
  write_chat_seeds(root, write);
  write_model_seeds(root, write);
  write_weight_seeds(root, write);
  write_trace_seeds(root, write);
  write_refused_seeds(root, write);
  write_chat_templates(root / "chat_template");
  write(
      root / "train_log" / "soft",
      R"({"schema":"kappascope.train/1","settings":{"tokens":640,"batch":2,"context":32,"bound":4}})"
      "\n"
      R"({"step":1,"loss":7.5,"kappa_rate":0,"bound":1,"layers":[{"layer":2,"load":[0.5,0.25,0.25],)"
      R"("kappa_mean":1,"kappa_sd":0,"budget":2.5,"experts_run":2.25}]})"
      "\n"
      R"({"step":1,"held_out_loss":7.25,"held_out_bits_per_byte":2.5})"
      "\n"
      R"({"step":2,"loss":null,"kappa_rate":1e-3,"bound":4})"
      "\n");
  fs::remove_all(root / "model");  // of which the traces are: every folder left is a target's
}

}  // namespace
}  // namespace kappascope::testing

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: make_seeds DIR FAMILIES\n", stderr);
    return 2;
  }
  kappascope::testing::write_all(argv[1], argv[2]);
  return 0;
}
