// `kappascope generate`: a model goes on with a text, token by token, and the trace of it.
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "app/cli/generate_options.h"
#include "app/cli/interrupts.h"
#include "app/cli/load_model.h"
#include "app/cli/output_folder.h"
#include "app/cli/run_files.h"
#include "app/cli/run_warnings.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "core/stats/summary.h"
#include "core/trace/npz.h"

namespace kappascope {
namespace {

// What was generated is still written after Ctrl+C; a second one ends at once.
constexpr int kPatienceToWriteMs = 60'000;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Hears Ctrl+C, and draws nothing between the words.
class Listening final : public Progress {
 public:
  explicit Listening(const Interrupts& interrupts) : interrupts_(interrupts) {}
  bool update(Stage, std::uint64_t, std::uint64_t) noexcept override {
    return !interrupts_.requested();
  }

 private:
  const Interrupts& interrupts_;
};

// What a model says may hold control characters, which a terminal would obey.
std::string for_terminal(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const std::size_t end = text.find_first_of("\n\t");
    shown += printable(text.substr(0, end));
    if (end == text.npos) { break; }
    shown += text[end];
    text.remove_prefix(end + 1);
  }
  return shown;
}

class Generate {
 public:
  Generate(GenerateOptions options, std::string command)
      : options_(std::move(options)),
        command_(std::move(command)),
        terminal_(options_.talk.talk(), interrupts_),
        model_(open_model(options_.model,
                          {.step = options_.step, .kappa = options_.reading.choices()})),
        plan_(resolve(model_, options_.changes.list)),
        settings_(options_.trace_settings(model_)) {
    check_generation(plan_);
    settings_.command = command_;
  }

  int run() {
    say_unknown(model_, terminal_);
    if (recorded()) { folder_.emplace(options_.output, options_.force, interrupts_); }
    if (folder_) { folder_->check_places({}, names_in_folder()); }
    open_prompt();
    generate();
    if (folder_) { write(); }
    if (failure_) { throw Error(failure_); }
    report();
    return stopped() ? int(ExitCode::interrupted) : int(ExitCode::ok);
  }

 private:
  // Also by Ctrl+C after the last token.
  bool stopped() const { return generation_->ended() == Ended::stopped || interrupts_.requested(); }
  bool recorded() const { return !options_.output.empty(); }

  std::vector<std::string> names_in_folder() const {
    std::vector<std::string> names = options_.table_names();
    if (options_.writes("npz")) { names.push_back(kModelFile); }
    return names;
  }

  void open_prompt() {
    const std::int64_t experts = model_.architecture.most_experts();
    require(!recorded() || experts <= kMostRecordedExperts, ExitCode::unsupported,
            {.file = model_.files.meta.native()}, "expected at most ", kMostRecordedExperts,
            " experts in a trace, found ", experts);
    TextItem item = options_.text.list(terminal_).front();
    tokenizer_ = options_.text.open_tokenizer(model_, terminal_);
    const Tokenizer* tokenizer = tokenizer_ ? &tokenizer_->tokenizer : nullptr;
    TokenizedText prompt =
        options_.text.read(item, tokenizer_ ? &*tokenizer_ : nullptr, model_, &terminal_);
    const std::int64_t tokens = std::ssize(prompt.tokens);
    check_prompt(model_, tokens, item.source());
    require(tokenizer || options_.rules.stops.empty(), ExitCode::usage, {},
            "--stop is a text, and there is no tokenizer; expected --tokenizer or no --stop");
    if (!tokenizer && !options_.json) {
      terminal_.warn("there is no tokenizer, so no text: --json prints the token ids");
    }
    loaded_ = load_model(
        model_, options_.compute, {&plan_}, tokens, terminal_, settings_,
        {.cache = cache_bytes_of(model_, plan_, tokens, options_.rules.tokens),
         .taps = kept_bytes_of(model_, plan_, settings_.layers, tokens, options_.rules.tokens)});
    generation_.emplace(model_, plan_, *loaded_, tokenizer, std::move(prompt), options_.rules,
                        settings_.layers);
    const std::string capacity = capacity_words(plan_, tokens, "--no-capacity");
    if (!capacity.empty()) { terminal_.warn(capacity); }
  }

  void generate() {
    const auto start = Clock::now();
    generation_->run_prompt(terminal_);
    prompt_seconds_ = seconds_since(start);
    terminal_.erase();
    if (folder_) { interrupts_.set_patience(kPatienceToWriteMs); }
    Listening listening(interrupts_);
    const auto first = Clock::now();
    try {
      for (bool going = true; going;) {
        std::string said;
        going = generation_->step(listening, said);
        const bool heard = show(said);
        if (!heard && !folder_) { going = false; }  // for nobody
      }
      const std::string& said = generation_->said();
      if (isatty(STDOUT_FILENO) && !said.empty() && said.back() != '\n') { show("\n"); }
    } catch (const Error& error) {
      if (!folder_) { throw; }
      failure_ = error.failure();  // what came before it is written
      generation_->stop();
    }
    seconds_ = seconds_since(first);
  }

  // False: nobody reads it any more.
  bool show(const std::string& said) {
    return options_.json || print(isatty(STDOUT_FILENO) ? for_terminal(said) : said);
  }

  void write() {
    const std::filesystem::path path = folder_->staged(kTraceFile);
    generation_->write_trace(path, settings_);
    const Trace trace = open_with_parameters(*folder_, path, model_, options_);
    const std::vector<LayerSummary> layers = summarise(trace);
    summary_ = summary_json(trace, layers);
    write_tables(*folder_, trace, summary_, options_);
    std::vector<std::string> files = options_.table_names();
    if (options_.writes("npz") && std::filesystem::exists(folder_->staged(kModelFile))) {
      files.insert(files.begin(), kModelFile);
    }
    for (const std::string& picture : pictures(trace)) { files.push_back(picture); }
    folder_->check_places({}, files);
    if (options_.compress) { compress_npz(path); }
    terminal_.erase();
    folder_->publish({}, files, true);
    const std::string older = older_files(folder_->path(), files);
    if (!older.empty()) { terminal_.warn(describe({.file = folder_->path().native()}, older)); }
    for (const std::string& warning :
         trace_warnings(trace, layers, loaded_->nonfinite_weights() == 0)) {
      terminal_.warn(warning);
    }
  }

  // Of a text that was not stopped, and none where they are.
  std::vector<std::string> pictures(const Trace& trace) {
    if (stopped()) { return {}; }
    options_.figures.check_tokens(trace.tokens, "the text");
    try {
      return write_pictures(*folder_, trace, options_, terminal_, terminal_);
    } catch (const Error& error) {
      if (error.failure().code != ExitCode::interrupted) { throw; }
      return {};
    }
  }

  void report() {
    const std::int64_t prompt = generation_->prompt_tokens();
    const std::int64_t generated = generation_->generated_tokens();
    if (options_.json) { print(json_text(document())); }
    terminal_.say(join_words(prompt, prompt == 1 ? " token" : " tokens", " of the prompt in ",
                             rounded(prompt_seconds_), " s, ", generated, " generated in ",
                             rounded(seconds_), " s (", rounded(double(generated) / seconds_),
                             " a second); ended by: ", name(generation_->ended())));
  }

  Json document() const {
    const TokenizedText text = generation_->text();
    Json document{{"text", generation_->said()},       {"token_ids", ids_of(text)},
                  {"generation", text.generation},     {"cache_bytes", generation_->cache_bytes()},
                  {"prompt_seconds", prompt_seconds_}, {"seconds", seconds_}};
    if (folder_) { document["summary"] = summary_; }
    return document;
  }

  static std::string rounded(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g", value);
    return text;
  }

  GenerateOptions options_;
  std::string command_;
  Interrupts interrupts_;  // before all that takes long or starts threads
  Terminal terminal_;
  Model model_;
  RunPlan plan_;
  TraceSettings settings_;
  std::optional<OutputFolder> folder_;  // with -o
  std::optional<TextTokenizer> tokenizer_;
  std::unique_ptr<EngineModel> loaded_;  // after model_, which it refers to
  std::optional<Generation> generation_;
  double prompt_seconds_ = 0, seconds_ = 0;
  Json summary_;
  Failure failure_;  // of a token that could not be generated
};

}  // namespace

int generate_verb(const Arguments& arguments) {
  GenerateOptions options;
  if (!options.parse(arguments.words)) { return int(ExitCode::ok); }
  return Generate(std::move(options), arguments.command).run();
}

}  // namespace kappascope
