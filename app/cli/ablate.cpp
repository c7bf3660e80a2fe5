// `kappascope ablate`: what a text loses without each expert.
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "app/cli/ablation.h"
#include "app/cli/command_line.h"
#include "app/cli/interrupts.h"
#include "app/cli/load_model.h"
#include "app/cli/output_folder.h"
#include "app/cli/sweep.h"
#include "app/cli/sweep_log.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "app/run_text.h"
#include "core/nan.h"
#include "core/trace/output_file.h"
#include "core/trace/trace.h"

namespace kappascope {
namespace {

constexpr const char* kAblateExamples = R"(
Examples:
  kappascope ablate assets/d4-kappa -f assets/texts/prose.txt -o out
  kappascope ablate MODEL -f text.txt -o out --layers 3-5 --mode reroute --top 20
  kappascope ablate MODEL -f text.txt -o out --resume)";

struct AblateOptions : SweepWords {
  std::string layers, mode = "zero";
  std::int64_t top = 20;
  bool window = false;

  bool parse(const std::vector<std::string>& words);
};

bool AblateOptions::parse(const std::vector<std::string>& words) {
  CLI::App app("What a text loses without each expert: every expert of the layers in turn",
               "kappascope ablate");
  app.footer(kAblateExamples);
  add_text_to(app);
  app.add_flag("--window", window, "run a text longer than sequence_len in overlapping chunks");
  app.add_option("--layers", layers, "experts of these layers, e.g. 3-5,7; of all unless given");
  app.add_option("--mode", mode, "what an expert becomes, as --ablate of run")
      ->check(CLI::IsMember({"zero", "reroute", "mean"}))
      ->capture_default_str();
  app.add_option("--top", top, "how many experts the table shows; 0: all")
      ->check(at_least_zero())
      ->capture_default_str();
  add_rest_to(app, "expert-importance", "print ablation.json instead of the table");
  if (!parse_words(app, words)) { return false; }
  check("ablate");
  return true;
}

// Σ nll of the recorded tokens.
class Loss final : public Probe {
 public:
  ProbeWants wants() const noexcept override { return {.next_token = true}; }
  bool next_token(const NextTokenTap& tap) noexcept override {
    for (std::int64_t r = 0; r < tap.tokens; ++r) {
      if (!std::isfinite(tap.nll[r])) { continue; }
      sum += tap.nll[r];
      ++count;
    }
    return true;
  }
  double sum = 0;
  std::int64_t count = 0;
};

// The run of the whole model: its trace, its loss, and how often each expert was chosen.
class BaseRun final : public Probe {
 public:
  BaseRun(TraceRecorder& recorder, std::vector<AblatedExpert>& experts)
      : recorder_(recorder), experts_(experts) {}
  ProbeWants wants() const noexcept override { return recorder_.wants(); }
  bool wants_layer(std::int64_t layer) const noexcept override {
    return recorder_.wants_layer(layer);
  }
  bool moe(const MoeTap& tap) noexcept override {
    const RoutingView& routing = tap.routing;
    for (AblatedExpert& of : experts_) {
      if (of.layer != tap.layer) { continue; }
      for (std::int64_t cell = 0; cell < routing.tokens * routing.slots; ++cell) {
        if (routing.cells.expert[cell] != of.expert) { continue; }
        ++of.assigned;
        of.kept += routing.cells.kept[cell] ? 1 : 0;
      }
    }
    return recorder_.moe(tap);
  }
  bool dense(const DenseTap& tap) noexcept override { return recorder_.dense(tap); }
  bool shared(const SharedTap& tap) noexcept override { return recorder_.shared(tap); }
  bool next_token(const NextTokenTap& tap) noexcept override {
    loss.next_token(tap);
    return recorder_.next_token(tap);
  }
  Loss loss;

 private:
  TraceRecorder& recorder_;
  std::vector<AblatedExpert>& experts_;
};

class Sweep {
 public:
  Sweep(AblateOptions options, std::string command)
      : options_(std::move(options)),
        terminal_(options_.talk.talk(), interrupts_),
        model_(open_model(options_.model,
                          {.step = options_.step, .kappa = options_.reading.choices()})),
        plan_(resolve(model_, {})) {
    settings_.tool_version = kToolVersion;
    settings_.command = found_.command = std::move(command);
    found_.mode = options_.mode;
    settings_.dtype = options_.compute.dtype;
    settings_.threads = options_.compute.load_options().threads;
    settings_.ablation = true;
  }

  int run() {
    say_unknown(model_, terminal_);
    list_experts();
    read_text();
    OutputFolder folder(options_.output, options_.force, interrupts_);
    folder.check_places({}, {kTraceFile, kModelFile, kAblationJson});
    found_.settings = identity();
    log_.emplace(kAblationLog, folder.path(), found_.settings, options_.resume, options_.force);
    loaded_ = load_model(model_, options_.compute, {&plan_}, std::ssize(text_.tokens), terminal_,
                         settings_);
    TraceRecorder recorder(folder.staged(kTraceFile), model_, plan_, text_, settings_);
    try {
      run_base(recorder);
      for (AblatedExpert& expert : found_.experts) { measure(expert); }
    } catch (const Error& error) {
      if (error.code() == ExitCode::interrupted) {
        const auto done = std::count_if(found_.experts.begin(), found_.experts.end(),
                                        [&](const AblatedExpert& of) { return tried(of); });
        terminal_.say(join_words(done, " of ", found_.experts.size(),
                                 " experts done; the same command with --resume goes on"));
      }
      throw;
    }
    write_ablation(recorder);
    recorder.finish();
    publish(folder);
    return int(ExitCode::ok);
  }

 private:
  void list_experts() {
    const std::int64_t depth = model_.architecture.depth();
    const std::string all = join_words("0-", depth - 1);
    for (const std::int64_t layer :
         parse_layers(options_.layers.empty() ? all : options_.layers, depth)) {
      const MoeSpec* moe = plan_.layers[layer].spec->moe();
      require(moe || options_.layers.empty(), ExitCode::unsupported,
              {.file = model_.files.weights.native()}, "--layers: layer ", layer,
              " has no experts");
      for (std::int64_t e = 0; moe && e < moe->router.experts; ++e) {
        found_.experts.push_back({.layer = layer, .expert = e});
      }
    }
    require(!found_.experts.empty(), ExitCode::unsupported, {.file = model_.files.weights.native()},
            "no layer of the model has experts");
    for (std::size_t i = 0; i < found_.experts.size(); ++i) {  // before anything runs
      const bool first = i == 0 || found_.experts[i].layer != found_.experts[i - 1].layer;
      if (first) { resolve(model_, {word_of(found_.experts[i])}); }
    }
  }

  Intervention word_of(const AblatedExpert& expert) const {
    return parse_intervention(
        join_words("ablate=", expert.layer, ":", expert.expert, ":", options_.mode));
  }

  void read_text() {
    const std::optional<TextTokenizer> tokenizer = options_.text.open_tokenizer(model_, terminal_);
    text_ = read_sweep_text(options_, tokenizer ? &*tokenizer : nullptr, model_, options_.window,
                            terminal_);
  }

  Json identity() const {
    Json identity = sweep_identity(options_, model_, text_);
    identity["mode"] = options_.mode;
    identity["window"] = options_.window;
    return identity;
  }

  bool tried(const AblatedExpert& expert) const {
    return log_->results().count({expert.layer, expert.expert}) > 0;
  }

  void run_base(TraceRecorder& recorder) {
    const auto waiting =
        std::uint64_t(std::count_if(found_.experts.begin(), found_.experts.end(),
                                    [&](const AblatedExpert& of) { return !tried(of); }));
    progress_.emplace(terminal_, (1 + waiting) * tokens_to_run(text_));
    BaseRun base(recorder, found_.experts);
    const Failure failure = run_chunks(plan_, *loaded_, text_, base, *progress_);
    if (recorder.failure()) { throw Error(recorder.failure()); }
    if (failure) { throw Error(failure); }
    found_.nll_sum = base.loss.sum;
    found_.nll_count = base.loss.count;
  }

  // An expert that no token runs changes nothing; one that is chosen and always dropped does when
  // its tokens go to others.
  bool changes_nothing(const AblatedExpert& of) const {
    if (text_.chunks.size() > 1) { return false; }  // of their context nothing was counted
    return options_.mode == "reroute" ? of.assigned == 0 : of.kept == 0;
  }

  void measure(AblatedExpert& expert) {
    const auto known = log_->results().find({expert.layer, expert.expert});
    if (known != log_->results().end()) {
      expert.nll = known->second;
      return;
    }
    if (changes_nothing(expert)) {
      expert.nll = found_.nll_sum;
      for (const TextChunk& chunk : text_.chunks) {
        progress_->begin_call(std::uint64_t(chunk.end - chunk.begin));
      }
    } else {
      expert.nll = loss_without(expert);
    }
    log_->add({expert.layer, expert.expert}, expert.nll);
    interrupts_.check();
  }

  // All layers before the expert's give what they give in the whole model: they run once for it.
  double loss_without(const AblatedExpert& expert) {
    Loss loss;
    const Failure failure = shared_.run(expert.layer, resolve(model_, {word_of(expert)}), *loaded_,
                                        text_, loss, *progress_);
    if (failure) { throw Error(failure); }
    // Of other tokens than the whole model's the sum says nothing.
    return loss.count == found_.nll_count ? loss.sum : kNaN;
  }

  void write_ablation(TraceRecorder& recorder) {
    const auto most = std::size_t(model_.architecture.most_experts());
    for (std::int64_t layer = 0; layer < model_.architecture.depth(); ++layer) {
      if (!plan_.layers[layer].spec->moe()) { continue; }
      std::vector<double> changes(most, kNaN);
      for (const AblatedExpert& expert : found_.experts) {
        if (expert.layer == layer) { changes[expert.expert] = found_.change(expert); }
      }
      recorder.set_ablation(layer, changes);
    }
  }

  void publish(OutputFolder& folder) {
    terminal_.update(Stage::write, 0, 1);
    Trace trace = open_trace(folder.staged(kTraceFile));
    found_.finish(trace);
    found_.write_csv(folder.staged(kAblationCsv));
    const std::string document = json_text(found_.json(trace));
    write_file(folder.staged(kAblationJson), document);
    folder.check_places({}, {kAblationCsv});
    publish_sweep(options_, model_, trace, {kTraceFile, kAblationCsv, kAblationJson}, folder,
                  terminal_);
    if (options_.json) {
      print(document);
    } else if (!options_.talk.quiet) {
      print(found_.table(std::size_t(options_.top)));
    }
  }

  AblateOptions options_;
  Interrupts interrupts_;  // before all that takes long or starts threads
  Terminal terminal_;
  Model model_;
  RunPlan plan_;
  TraceSettings settings_;
  TokenizedText text_;
  AblationFindings found_;
  std::optional<SweepLog> log_;
  std::unique_ptr<EngineModel> loaded_;  // after model_, which it refers to
  std::optional<TokenProgress> progress_;
  SharedStart shared_;
};

}  // namespace

int ablate_verb(const Arguments& arguments) {
  AblateOptions options;
  if (!options.parse(arguments.words)) { return int(ExitCode::ok); }
  return Sweep(std::move(options), arguments.command).run();
}

}  // namespace kappascope
