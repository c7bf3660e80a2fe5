#include "tests/fuzz/more_seeds.h"

#include <vector>

#include "core/engine/run_plan.h"
#include "core/figure/style.h"
#include "core/trace/byte_archive.h"
#include "core/trace/stats_file.h"
#include "core/trace/trace_meta.h"
#include "core/train/settings.h"
#include "tests/tools/synthetic.h"

namespace kappascope::testing {
namespace {

namespace fs = std::filesystem;

CorpusTotals totals_of_two_experts() {
  CorpusTotals totals;
  totals.experts = 2;
  totals.layer_index = {1};
  totals.pass_index = {0};
  totals.domains = {"prose"};
  totals.token_bytes = {{7, "a"}};
  totals.failures = {{"a line", 1}};
  totals.documents = totals.tokens = 3;
  RowTotals& row = totals.rows.emplace_back();
  row.domain_assigned = {{1, 2}};
  row.choices.assigned = row.choices.kept = row.choices.first_choice = {1, 2};
  row.choices.gate_mass.resize(2);
  row.choices.tokens = 3;
  row.choices.assigned_by_slot = {3};
  row.choices.dropped_by_slot = {0};
  row.choices.tokens_by_assigned = row.choices.tokens_by_run = {0, 3};
  row.resampled_assigned.resize(std::size_t(2 * kResamples), 1);
  row.tokens.pairs = {{TokenCounts::key(0, 7), 1}};
  row.kappa.mean.resize(2);
  row.kappa.count = {1, 2};
  row.kappa.score.resize(2);
  row.kappa.score[1].add(0.5f);
  totals.rules = {{"kappa_factor", {1, 2}}};
  totals.u_multiplier = 1;
  side_of(totals.dense, 0, 0).kappa = {1, 2};
  side_of(totals.shared, 1, 0).numbers[0].add(0.5f);
  return totals;
}

void write_totals(const fs::path& root, WriteSeed* write) {
  const CorpusTotals totals = totals_of_two_experts();
  ByteWriter writer;
  writer(totals);
  write(root / "totals" / "two",
        {reinterpret_cast<const char*>(writer.bytes.data()), writer.bytes.size()});
  const Model model = open_model(root / "model");
  fs::create_directories(root / "npz");
  write_stats(root / "npz" / "stats.npz", totals, corpus_meta(model, resolve(model, {}), {}));
}

// A word that a setting takes, or nothing.
std::string style_word(const StyleSetting& setting) {
  if (setting.name == "font") {
    return "font = \"DejaVu Sans\"\n";
  }  // which is asked for only there
  for (const char* word : {"1.5", "85", "true", "\"dark\"", "\"acl\"", "\"DejaVu Sans\"",
                           "[\"0:1\"]", "[\"a=b\"]", "[\"x\", \"y\\\"\\\\\"]"}) {
    const std::string line = std::string(setting.name) + " = " + word + "\n";
    const bool number = std::isdigit(static_cast<unsigned char>(word[0])) != 0;
    const bool fits = setting.kind == StyleSetting::Kind::number   ? number
                      : setting.kind == StyleSetting::Kind::toggle ? word[0] == 't'
                      : setting.kind == StyleSetting::Kind::text   ? word[0] == '"'
                                                                   : word[0] == '[';
    if (!fits) { continue; }
    std::string plain = word;
    std::erase_if(plain, [](char c) { return c == '"' || c == '[' || c == ']'; });
    try {
      FigureStyle style;
      setting.set(style, {plain});
      return line;
    } catch (const std::exception&) {  // another word
    }
  }
  return "";
}

void write_styles(const fs::path& folder, WriteSeed* write) {
  std::string all = "# of a paper\n";
  for (const StyleSetting& setting : style_settings()) { all += style_word(setting); }
  write(folder / "all", all);
  write(folder / "wrong", "width = \"1\"\n[table]\nbare = false\nlabel = [1, \"\\u00e9\"]\n");
}

void write_settings(const fs::path& folder, WriteSeed* write) {
  TrainSettings settings;
  settings.texts = {"/a/text.txt"};
  write(folder / "kappa", settings_json(settings).dump());
  settings.router = "softmoe";
  settings.save_dtype = "bfloat16";
  write(folder / "soft", settings_json(settings).dump());
}

void write_chats(const fs::path& folder, WriteSeed* write) {
  const std::string messages =
      R"([{"role":"system","content":"s"},{"role":"user","content":" q <|end|>"},)"
      R"({"role":"assistant","content":[{"type":"text","text":"a"},{"type":"python","text":"1"},)"
      R"({"type":"python_output","text":"é"}]},{"role":"user","content":""}])";
  write(folder / "nanochat", "n" + messages);
  write(folder / "nanochat_object", "n{\"messages\":" + messages + "}");
  write(folder / "template",
        "t"
        R"([{"role":"user","content":" q "},{"role":"assistant","content":"a"}])");
}

void write_tokenizer_configs(const fs::path& folder, WriteSeed* write) {
  write(
      folder / "tokens",
      R"({"add_bos_token":true,"add_eos_token":true,"bos_token":{"content":"<|end|>","lstrip":false},)"
      R"("eos_token":"a","unk_token":null,"tokenizer_class":"LlamaTokenizer","legacy":false,)"
      R"("add_prefix_space":true,"added_tokens_decoder":{"1":{"content":"<|end|>","lstrip":true,)"
      R"("normalized":false,"rstrip":false,"single_word":false,"special":true}},"max":NaN})");
  write(folder / "chat",
        R"({"chat_template":"{% for m in messages %}{{ bos_token + m.content }}{% endfor %}",)"
        R"("bos_token":"<s>"})");
  write(folder / "ends",
        R"({"add_bos_token":true,"add_eos_token":true,"bos_token":"<s>","eos_token":"<|end|>",)"
        R"("image_token":"<s>","extra_special_tokens":{"a":"<s>"},"additional_special_tokens":)"
        R"(["<|end|>"],"tokenizer_class":"LlamaTokenizer","legacy":false})");
  write(folder / "flag of a number", R"({"split_special_tokens":7})");
  write(folder / "ends of llama",
        R"({"add_bos_token":true,"add_eos_token":true,"bos_token":"<s>","eos_token":"<s>"})");
  write(folder / "chats", R"({"chat_template":[{"name":"default","template":"{{ 1 }}"}]})");
}

void write_interventions(const fs::path& folder, WriteSeed* write) {
  write(folder / "all",
        "kappa=off\nkappa=1@2-3,5\nkappa-mul=2@3-5:1\nkappa-bias=0.5\nkappa-scale=-1e-3@1:0-3\n"
        "top-k=1\ncapacity=off\nloop=2\nablate=3:0,2-4:reroute\nablate=1-2:5:mean\n"
        "routes=a file.npy\nroute=2:0-3:1,0\ngate-keep=0.5@1\npatch=run/trace.npz:2-3:7\nbudget=2\n"
        "threshold=0.1\ntemperature=1.5@4\nwhat=1\n");
}

}  // namespace

void write_more_seeds(const fs::path& root, const fs::path& families, WriteSeed* write) {
  write_family_seeds(root, families, write);
  write(root / "shards" / "both",
        R"({"metadata":{"total_size":16},"weight_map":{"a":"a.safetensors","b":"b.safetensors"}})");
  write(root / "shards" / "strange",
        R"({"weight_map":{"a":"../a.safetensors","b":"link.safetensors","c":"pipe.safetensors"}})");
  write(root / "shards" / "in another",
        R"({"weight_map":{"a":"b.safetensors","b":"b.safetensors","c":"a.safetensors"}})");
  write_totals(root, write);
  write_styles(root / "style", write);
  write_settings(root / "train_settings", write);
  write_chats(root / "chat", write);
  write_interventions(root / "interventions", write);
  write_tokenizer_configs(root / "tokenizer_config", write);
  // Of what is written: bytes that are divided into names, shapes and values.
  for (const char* target : {"npz_writer", "torch_writer", "svg", "html"}) {
    write(root / target / "zeros", std::string(64, '\0'));
    write(root / target / "counted", [] {
      std::string bytes;
      for (int i = 0; i < 256; ++i) { bytes += static_cast<char>(i); }
      return bytes;
    }());
    write(root / target / "markup", "</text><script>\\&amp;\"'--> ]]>\xff\xe2\x80\xae\x1b[2J\\");
  }
  write(root / "sweep_log" / "two",
        "{\"schema\":\"kappascope.ablation-log/1\",\"settings\":{\"a\":1}}\n"
        "{\"layer\":1,\"expert\":2,\"nll\":0.5}\n{\"layer\":1,\"expert\":3,\"nll\":-1e-3}\n{\"lay");
  write(root / "settings" / "all",
        R"({"schema":"kappascope.settings/1","dark":false,"scale":1.5,"width":800,"height":600,)"
        R"("recent":["/a/b"],"layouts":{"mine":{"ini":"[Window]","shown":["a"],"front":["a"],)"
        R"("built_in":"","narrow":true,"low":false}},"last":{"ini":"","shown":[],"front":[]}})");
  write(root / "json" / "all",
        R"({"a":[1,-2,3.5e-3,true,false,null,"\u00e9\ud83d\ude42\n"],"b":{}})");
  write(root / "json" / "high", "[18446744073709551615,-9223372036854775808,1e308,1e-400]");
  write(root / "csv" / "fields", "=1+2\xff, \"quoted\"\r\n\xff@a\xff\\n\xff\xe2\x80\xae");
}

}  // namespace kappascope::testing
