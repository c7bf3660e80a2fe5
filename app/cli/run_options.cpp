#include "app/cli/run_options.h"

#include <algorithm>
#include <array>

#include "app/cli/command_line.h"
#include "app/cli/effect.h"
#include "app/cli/output_folder.h"
#include "app/cli/run_warnings.h"
#include "app/cli/verbs.h"
#include "app/shell_words.h"

namespace kappascope {
namespace {

constexpr const char* kRunExamples = R"(
Examples:
  kappascope run assets/d8-kappa -p "Once upon a time"
  kappascope run assets/d8-kappa -f assets/texts/prose.txt -o out
  kappascope run MODEL -f texts/*.txt -o out --format npz,json --compress
  kappascope run MODEL -f corpus.jsonl --text-field text -o out --skip-done
  kappascope run MODEL -f chat.json --chat --only assistant -o out
  kappascope run MODEL --ids ids.json -o out --record gates --layers 3-5
  kappascope run MODEL -f book.txt -o out --window --kappa off)";

// Words that name texts and what becomes of them, not how a text is run.
constexpr std::array<std::string_view, 11> kNotSettings{
    "MODEL",  "--prompt", "--file",  "--files-from", "--ids",      "--output",
    "--json", "--force",  "--quiet", "--verbose",    "--skip-done"};

// The options that were given, with their values, in the order of --help.
std::vector<std::string> given_settings(const CLI::App& app) {
  std::vector<std::string> words;
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_name();
    const bool left_out =
        std::find(kNotSettings.begin(), kNotSettings.end(), name) != kNotSettings.end();
    if (option->count() == 0 || left_out) { continue; }
    words.push_back(name);
    if (option->get_items_expected_max() > 0) {
      words.insert(words.end(), option->results().begin(), option->results().end());
    }
  }
  return words;
}

}  // namespace

bool RunOptions::parse(const std::vector<std::string>& words) {
  CLI::App app("Run texts through a model; record routing, gates and κ", "kappascope run");
  app.footer(kRunExamples);
  add_to(app);
  if (!parse_words(app, words)) { return false; }
  text.take_model(model);
  settings = given_settings(app);
  // Thousands of pictures are drawn for the asking only.
  if (text.names_several() && app.count("--figures") == 0) { figures.ids = "none"; }
  check();
  return true;
}

void RunOptions::add_to(CLI::App& app) {
  app.add_option("MODEL", model, "model folder or model_NNNNNN.pt");
  text.add_to(app);
  app.add_option("--only", only,
                 "with --chat, assistant: statistics of the assistant's tokens alone")
      ->check(CLI::IsMember({"assistant"}));
  app.add_flag("--window", window, "run a text longer than sequence_len in overlapping chunks");
  add_files_to(app, "only the table is printed");
  CLI::Option* const figure_ids = app.get_option("--figures");
  figure_ids->description(figure_ids->get_description() + "; none for several texts unless given");
  app.add_option(
         "--record", record,
         "summary; gates: every gate unit too; outputs: those of MoE layers too, for --patch")
      ->capture_default_str();
  app.add_flag("--logits", logits, "record the output logits [T,V]");
  app.add_flag("--lens", lens,
               "record the likeliest next token by the residual stream after every layer");
  app.add_option("--layers", layers, "record only these layers, e.g. 0-3,7")
      ->check([](const std::string& list) { return list.empty() ? "expected layers" : ""; });
  add_interventions(app);
  reading.add_to(app);
  app.add_option("--step", step, "training step; the newest unless given")->check(at_least_zero());
  compute.add_to(app);
  app.add_flag("--json", json, "print the summaries as one JSON list instead of the tables");
  app.add_flag("--skip-done", skip_done,
               "go on with a batch: texts that its index.csv says are done are left as they are");
  app.add_flag("--force", force,
               "replace files that kappascope has not written, or another batch's");
  thresholds.add_to(app, "load_cv>2, nll_mean>4, kappa.mean<0.5");
  talk.add_to(app);
}

void RunOptions::add_interventions(CLI::App& app) {
  changes.add_to(app,
                 "run the text also with these words, such as \"kappa=2@3 top-k=1\", and write the "
                 "difference; off: kappa=off, none: the model as it is");
  app.add_option("--compare-routes", compare_routes,
                 "per layer, how many tokens the router sends elsewhere than this file has it (as "
                 "--routes)")
      ->type_name("FILE")
      ->group("Interventions");
}

void RunOptions::check() {
  changes.parse();
  changes.check_runs_differ();
  const bool one_text = changes.names({Edit::routes, Edit::patch}) || !compare_routes.empty();
  require(!one_text || !text.names_several(), ExitCode::usage, {},
          "--routes, --patch and --compare-routes are of one text: give one with -p, -f or --ids");
  thresholds.parse(run_threshold_names());
  text.check();
  check_only(only, text.chat);
  check_files();
  recorded = parse_list("--record", record, {"summary", "gates", "outputs"});
  const bool npz_only = records("gates") || records("outputs") || logits || lens || compress;
  require(!output.empty() || !npz_only, ExitCode::usage, {},
          "--record gates or outputs, --logits, --lens and --compress write to a folder: give one "
          "with -o DIR");
  require(output.empty() || writes("npz") || !npz_only, ExitCode::usage, {},
          "--record gates or outputs, --logits, --lens and --compress are for trace.npz: --format "
          "must name npz");
  require(!output.empty() || !skip_done, ExitCode::usage, {},
          "--skip-done needs the folder of the batch: give it with -o DIR");
  compute.check_device();
}

bool RunOptions::records(std::string_view kind) const {
  return std::find(recorded.begin(), recorded.end(), kind) != recorded.end();
}

std::vector<std::string> RunOptions::file_names() const {
  std::vector<std::string> names = table_names();
  if (changes.against && writes("npz")) {
    names.push_back(join_words(kAgainstFolder, "/", kTraceFile));
  }
  if (changes.against && writes("json")) { names.push_back(kEffectJson); }
  return names;
}

TraceSettings RunOptions::trace_settings(const Model& of) const {
  TraceSettings trace;
  trace.record_gates = records("gates");
  trace.record_outputs = records("outputs");
  trace.lens = lens;
  trace.record_logits = logits;
  trace.only_assistant = !only.empty();
  const std::string all = join_words("0-", of.architecture.depth() - 1);
  trace.layers = parse_layers(layers.empty() ? all : layers, of.architecture.depth());
  trace.tool_version = kToolVersion;
  trace.dtype = compute.dtype;
  trace.threads = compute.load_options().threads;
  return trace;
}

Json RunOptions::identity(const Model& of, const ChatFormat* chat) const {
  const KappaSlots& slots = of.architecture.kappa_slots;
  Json decisive{{"config_sha256", of.config_sha256},
                {"tensor_directory_sha256", of.directory_sha256},
                {"step", json_of(of.files.step)},
                {"layers", trace_settings(of).layers},
                {"record", record},
                {"logits", logits},
                {"interventions", canonical_words(changes.list)},
                {"kappa_formula", name(of.architecture.kappa_formula)},
                {"kappa_slot", slots.side ? Json(name(*slots.side)) : Json()},
                {"window", window},
                {"max_tokens", text.max_tokens},
                {"tokenizer", display_text(text.tokenizer_folder)},
                {"dtype", compute.dtype}};
  // Without an SFT slot there is nothing that could be read in two ways.
  if (slots.side == KappaSide::sft) { decisive["sft_kappa"] = name(slots.sft); }
  if (text.chat) { decisive["chat"] = true; }
  if (chat && !chat->sha256().empty()) { decisive["chat_sha256"] = chat->sha256(); }
  if (lens) { decisive["lens"] = true; }
  if (!only.empty()) { decisive["only"] = only; }
  if (changes.against) { decisive["against"] = canonical_words(*changes.against); }
  return decisive;
}

std::string RunOptions::command_of(const TextItem& item, const std::string& folder) const {
  std::vector<std::string> words{"kappascope", "run", model};
  words.insert(words.end(), {text.ids_files.empty() ? "-f" : "--ids", item.file});
  words.insert(words.end(), settings.begin(), settings.end());
  words.insert(words.end(), {"-o", output + "/" + folder});
  std::vector<char*> pointers;
  for (std::string& word : words) { pointers.push_back(word.data()); }
  return quote_command(int(pointers.size()), pointers.data());
}

}  // namespace kappascope
