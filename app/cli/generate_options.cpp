#include "app/cli/generate_options.h"

#include <utility>

#include "app/cli/command_line.h"
#include "app/cli/verbs.h"

namespace kappascope {
namespace {

constexpr const char* kGenerateExamples = R"(
Greedy unless --temperature is given. The text goes to standard output, all else to standard error.
With Ctrl+C it ends there: what was generated is written all the same, and the exit code is 130.
Capacity: the checkpoint's rule limits the prompt's call; the call of one token that follows drops
nothing. --no-capacity, the usual choice, makes both alike.

Examples:
  kappascope generate assets/d8-kappa -p "Once upon a time" --no-capacity
  kappascope generate MODEL -f prompt.txt --tokens 500 --temperature 0.8 --top-p 0.95 --seed 1 -o out
  kappascope generate MODEL -p "How tall is the Eiffel Tower?" --chat -o out)";

}  // namespace

bool GenerateOptions::parse(const std::vector<std::string>& words) {
  CLI::App app("Let a model go on with a text; record routing, gates and κ of each token",
               "kappascope generate");
  app.footer(kGenerateExamples);
  add_to(app);
  if (!parse_words(app, words)) { return false; }
  check();
  return true;
}

void GenerateOptions::add_to(CLI::App& app) {
  app.add_option("MODEL", model, "model folder or model_NNNNNN.pt")->required();
  app.add_option("-p,--prompt", text.prompt, "the text to go on with");
  app.add_option("-f,--file", file_, "a UTF-8 file with it; - for standard input");
  app.add_option("--ids", ids_, "a file of token ids instead: JSON or one id per line");
  app.add_flag(
      "--chat", text.chat,
      "TEXT is what a user says, FILE a chat: JSON with \"messages\" that ends with a user's; "
      "rendered as the tokenizer does, with what an answer begins with");
  app.add_option("--tokenizer", text.tokenizer_folder,
                 "tokenizer.pkl, tokenizer.json or tokenizer.model, or the folder of one");
  add_sampling(app);
  add_files_to(app, "nothing is recorded", {"tokens"});
  app.add_option("--layers", layers, "record only these layers, e.g. 0-3,7")
      ->check([](const std::string& list) { return list.empty() ? "expected layers" : ""; });
  changes.temperature_word = "router-temperature";
  changes.add_to(app);
  reading.add_to(app);
  app.add_option("--step", step, "training step; the newest unless given")->check(at_least_zero());
  compute.add_to(app);
  app.add_flag("--json", json, "print one JSON object at the end instead of the text as it comes");
  app.add_flag("--force", force, "replace files that kappascope has not written");
  talk.add_to(app);
}

void GenerateOptions::add_sampling(CLI::App& app) {
  SamplingRule& sampling = rules.sampling;
  app.add_option("--tokens", rules.tokens, "generate at most so many")
      ->check(CLI::Range(std::int64_t(1), kMostGenerated))
      ->capture_default_str();
  app.add_option("--temperature", sampling.temperature,
                 "draw from softmax(logits / T); 0: take the likeliest token")
      ->capture_default_str();
  app.add_option("--top-k-tokens", sampling.most, "draw from the N likeliest tokens; 0: from all")
      ->check(at_least_zero())
      ->capture_default_str();
  app.add_option("--top-p", sampling.mass,
                 "draw from the fewest likeliest tokens that have P of the probability")
      ->capture_default_str();
  app.add_option("--seed", sampling.seed, "of what is drawn: the same seed draws the same")
      ->check(at_least_zero())
      ->capture_default_str();
  app.add_option("--stop", rules.stops, "end before this text; may be given several times")
      ->check([](const std::string& stop) { return stop.empty() ? "expected a text" : ""; })
      ->expected(1)
      ->take_all();
  app.add_flag("--ignore-end", rules.go_on_at_end, "go on after the tokens that end a text");
}

void GenerateOptions::check() {
  if (!file_.empty()) { text.files = {file_}; }
  if (!ids_.empty()) { text.ids_files = {ids_}; }
  const int kinds = int(text.prompt.has_value()) + int(!file_.empty()) + int(!ids_.empty());
  require(kinds == 1, ExitCode::usage, {},
          "expected exactly one of -p TEXT, -f FILE and --ids FILE, found ", kinds);
  require(!text.chat || ids_.empty(), ExitCode::usage, {},
          "--chat is for -p TEXT or -f FILE: expected no --ids");
  text.chat_use = ChatUse::prompt;
  if (text.chat && text.prompt) {
    text.prompt = Json::array({{{"role", "user"}, {"content", *text.prompt}}})
                      .dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  check_sampling(rules);
  changes.parse();
  require(!changes.names({Edit::routes, Edit::patch}), ExitCode::usage, {},
          "--routes and --patch are of a whole text, and here it is not known beforehand");
  check_files();
  require(!output.empty() || layers.empty(), ExitCode::usage, {},
          "--layers is for the trace: give a folder for it with -o DIR");
  compute.check_device();
}

TraceSettings GenerateOptions::trace_settings(const Model& of) const {
  TraceSettings trace;
  const std::string all = join_words("0-", of.architecture.depth() - 1);
  if (!output.empty()) {
    trace.layers = parse_layers(layers.empty() ? all : layers, of.architecture.depth());
  }
  trace.tool_version = kToolVersion;
  trace.dtype = compute.dtype;
  trace.threads = compute.load_options().threads;
  return trace;
}

}  // namespace kappascope
