// `kappascope score`: tasks in the form of the CORE bundle, answered by a model.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "app/cli/batch_progress.h"
#include "app/cli/interrupts.h"
#include "app/cli/load_model.h"
#include "app/cli/output_folder.h"
#include "app/cli/score_options.h"
#include "app/cli/score_report.h"
#include "app/cli/score_run.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "core/checkpoint/folder.h"
#include "core/trace/output_file.h"

namespace kappascope {
namespace {

constexpr std::int64_t kScoreResamples = 2000;

// A model, what a run changes in it, and how many tokens its tasks are.
struct Side {
  const Model* model;
  const Tokenizer* tokenizer;
  RunPlan plan;
  std::vector<TaskSize> sizes = {};  // of each task
};

class Score {
 public:
  Score(ScoreOptions options, const std::string& command)
      : options_(std::move(options)), terminal_(options_.talk.talk(), interrupts_) {
    result_.command = command;
    result_.resamples = kScoreResamples;
    result_.seed = options_.seed;
  }

  int run() {
    result_.tasks = options_.tasks.read();
    open_sides();
    measure();
    std::optional<OutputFolder> folder;
    if (!options_.output.empty()) {
      folder.emplace(options_.output, options_.force, interrupts_);
      folder->check_places({}, {kScoreJson, kScoreCsv});
    }
    answer();
    result_.summarise();
    const std::string document = json_text(score_json(result_));
    if (folder) {
      write_file(folder->staged(kScoreJson), document);
      write_score_csv(folder->staged(kScoreCsv), result_);
      folder->publish({}, {kScoreJson, kScoreCsv});
    }
    terminal_.erase();
    warn_of_examples();
    print(options_.json ? document : options_.talk.quiet ? "" : score_text(result_));
    return int(ExitCode::ok);
  }

 private:
  struct Opened {
    explicit Opened(Model opened, const std::string& tokenizer_folder)
        : model(std::move(opened)),
          tokenizer(Tokenizer::load(
              find_tokenizer(model.files.weights.parent_path(), tokenizer_folder))) {}
    Model model;
    Tokenizer tokenizer;
  };

  const Opened& open(const std::string& path, std::optional<std::int64_t> step) {
    opened_.push_back(std::make_unique<Opened>(
        open_model(path, {.step = step, .kappa = options_.reading.choices()}),
        options_.tokenizer_folder));
    say_unknown(opened_.back()->model, terminal_);
    return *opened_.back();
  }

  void open_sides() {
    const Opened& first = open(options_.model, options_.step);
    add_side(first, options_.changes.list);
    if (!options_.compares()) { return; }
    const Opened& second =
        options_.against_model.empty() ? first : open(options_.against_model, {});
    add_side(second, options_.against_changes());
  }

  void add_side(const Opened& of, const std::vector<Intervention>& changes) {
    sides_.push_back({&of.model, &of.tokenizer, resolve(of.model, changes)});
    const std::vector<std::string> words = canonical_words(changes);
    ScoredRun run;
    run.name = of.model.name();
    if (of.model.files.step) { run.name += join_words(", step ", *of.model.files.step); }
    std::string joined;
    for (const std::string& word : words) { joined += (joined.empty() ? "" : " ") + word; }
    if (!joined.empty()) { run.name += join_words(" (", joined, ")"); }
    run.about = {{"model", of.model.name()},
                 {"family", of.model.architecture.family},
                 {"config_sha256", of.model.config_sha256},
                 {"tensor_directory_sha256", of.model.directory_sha256},
                 {"interventions", words},
                 {"dtype", options_.compute.dtype}};
    if (of.model.files.step) { run.about["step"] = *of.model.files.step; }
    result_.runs.push_back(std::move(run));
  }

  void measure() {
    for (Side& side : sides_) {
      const TaskRunner runner(*side.model, side.plan, *side.tokenizer);
      for (const ScoreTask& task : result_.tasks) {
        side.sizes.push_back(runner.measure(task, terminal_));
        tokens_ += side.sizes.back().tokens;
      }
    }
    terminal_.erase();
  }

  void answer() {
    std::unique_ptr<EngineModel> loaded;
    std::optional<BatchProgress> progress;
    std::size_t done = 0;
    for (std::size_t s = 0; s < sides_.size(); ++s) {
      const Side& side = sides_[s];
      ScoredRun& run = result_.runs[s];
      if (s == 0 || side.model != sides_[s - 1].model) {
        loaded.reset();  // before the next one is there
        loaded = load(side);
      }
      run.about["device"] = settings_.device;
      run.about["threads"] = options_.compute.load_options().threads;
      const TaskRunner runner(*side.model, side.plan, *side.tokenizer);
      if (!progress) { progress.emplace(terminal_, result_.tasks.size() * sides_.size(), tokens_); }
      for (std::size_t t = 0; t < result_.tasks.size(); ++t) {
        const TaskSize& size = side.sizes[t];
        progress->begin(++done, join_words(result_.tasks[t].name, ", ", run.name));
        run.scores.push_back(runner.run(result_.tasks[t], size.tokens, *loaded, *progress));
        run.cropped.push_back(size.cropped);
        progress->end(std::int64_t(size.tokens), size.tokens);
      }
    }
  }

  // For the plans of all sides of that model.
  std::unique_ptr<EngineModel> load(const Side& of) {
    std::vector<const RunPlan*> plans;
    std::int64_t longest = 0;
    for (const Side& side : sides_) {
      if (side.model != of.model) { continue; }
      plans.push_back(&side.plan);
      for (const TaskSize& size : side.sizes) { longest = std::max(longest, size.longest_call); }
    }
    return load_model(*of.model, options_.compute, plans, longest, terminal_, settings_);
  }

  void warn_of_examples() {
    for (const ScoredRun& run : result_.runs) {
      for (std::size_t t = 0; t < result_.tasks.size(); ++t) {
        warn_of(t, run.cropped[t], "are longer than sequence_len and were cut in front");
        warn_of(t, run.summaries[t].unknown,
                "have an option without a finite loss of its own and count as neither");
      }
    }
  }

  void warn_of(std::size_t task, std::int64_t examples, const char* what) {
    if (examples == 0) { return; }
    const ScoreTask& of = result_.tasks[task];
    terminal_.warn_once(describe(
        {.file = of.file},
        join_words(of.name, ": ", examples, " of ", of.examples.size(), " examples ", what)));
  }

  ScoreOptions options_;
  Interrupts interrupts_;  // before all that takes long or starts threads
  Terminal terminal_;
  ScoreResult result_;
  std::vector<std::unique_ptr<Opened>> opened_;
  std::vector<Side> sides_;  // one, or the second that it is compared with, too
  TraceSettings settings_;   // what loading says of device and engine
  std::uint64_t tokens_ = 0;
};

}  // namespace

int score_verb(const Arguments& arguments) {
  ScoreOptions options;
  if (!options.parse(arguments.words)) { return int(ExitCode::ok); }
  return Score(std::move(options), arguments.command).run();
}

}  // namespace kappascope
