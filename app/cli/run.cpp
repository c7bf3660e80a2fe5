// `kappascope run`: texts through a model into traces, tables and a summary.
#include <algorithm>
#include <memory>
#include <utility>

#include "app/cli/batch_index.h"
#include "app/cli/batch_progress.h"
#include "app/cli/interrupts.h"
#include "app/cli/layer_table.h"
#include "app/cli/load_model.h"
#include "app/cli/output_folder.h"
#include "app/cli/run_files.h"
#include "app/cli/run_options.h"
#include "app/cli/run_warnings.h"
#include "app/cli/terminal.h"
#include "app/cli/texts.h"
#include "app/cli/verbs.h"
#include "app/run_text.h"
#include "core/engine/routing_plan.h"
#include "core/stats/route_match.h"
#include "core/stats/summary.h"
#include "core/trace/given_routes.h"
#include "core/trace/logits_file.h"
#include "core/trace/npz.h"

namespace kappascope {
namespace {

// One text of the command line, or what kept it from being run.
struct Job {
  TextItem item;
  std::string stem;       // of its folder's name
  std::string subfolder;  // of the output folder; "" when there is one text
  std::int64_t tokens = -1;
  std::uint64_t tokens_to_run = 0;  // repeated context of chunks included
  std::string hash;
  bool done = false, skipped = false;  // by this run, by an earlier one
  Failure failure;
};

class Run {
 public:
  Run(RunOptions options, const std::string& command)
      : options_(std::move(options)),
        command_(command),
        terminal_(options_.talk.talk(), interrupts_),
        model_(open_model(options_.model,
                          {.step = options_.step, .kappa = options_.reading.choices()})),
        plan_(resolve_run(model_, options_.changes.list)),
        settings_(options_.trace_settings(model_)),
        against_(options_.changes.against
                     ? std::optional(resolve_run(model_, *options_.changes.against))
                     : std::nullopt),
        compared_(options_.compare_routes.empty() ? plan_.routes
                                                  : read_routes(options_.compare_routes)) {
    if (options_.compare_routes.empty()) { return; }
    const std::string problem = problem_of(plan_, *compared_, false);
    require(problem.empty(), ExitCode::unsupported, {.file = compared_->file}, problem);
  }

  int run() {
    const std::int64_t experts = model_.architecture.most_experts();
    require(experts <= kMostRecordedExperts, ExitCode::unsupported,
            {.file = model_.files.meta.native()}, "model_config.n_exp: expected at most ",
            kMostRecordedExperts, " experts in a trace, found ", experts);
    say_unknown(model_, terminal_);
    prepare_jobs();
    const bool indexed = batch() && !options_.output.empty();  // even when no text can be read
    if (!indexed && all([](const Job& job) { return bool(job.failure); })) { return finish(); }
    OutputFolder folder(options_.output, options_.force, interrupts_);
    for (const Intervention& edit : options_.changes.list) {
      if (edit.edit == Edit::patch) { folder.check_keeps(trace_file(edit.file)); }
    }
    begin_index(folder);
    for (Job& job : jobs_) {
      attempt(job, [&] { folder.check_places(job.subfolder, options_.file_names()); });
    }
    const bool any = !all([](const Job& job) { return job.skipped || job.failure; });
    if (any && options_.writes("npz")) { folder.check_places({}, {kModelFile}); }
    if (index_) { folder.check_places({}, {kIndexFile, kBatchFile}); }
    save_index();
    if (any) { run_in(folder); }
    return finish();
  }

 private:
  bool batch() const { return options_.text.names_several(); }

  template <typename Test>
  bool all(Test test) const {
    return std::all_of(jobs_.begin(), jobs_.end(), test);
  }

  // Work on one text of several: its failure is kept and said, the others go on. Where going on
  // makes no sense, or there is one text only, the error goes up.
  template <typename Work>
  void attempt(Job& job, Work&& work) {
    if (job.failure || job.skipped) { return; }
    try {
      interrupts_.check();
      work();
    } catch (const Error& error) {
      if (!batch() || error.code() == ExitCode::interrupted) { throw; }
      job.failure = error.failure();
      terminal_.error(error.what());
      record(job, TextStatus::failed);
    }
  }

  void prepare_jobs() {
    for (TextItem& item : options_.text.list(terminal_)) {
      jobs_.push_back({.item = std::move(item)});
    }
    tokenizer_ = options_.text.open_tokenizer(model_, terminal_);
    for (Job& job : jobs_) {
      if (batch()) {
        terminal_.update(Stage::read, std::uint64_t(&job - jobs_.data()), jobs_.size());
      }
      attempt(job, [&] {
        TokenizedText text = read(job, &terminal_);
        job.tokens = std::int64_t(text.tokens.size());
        job.tokens_to_run = tokens_to_run(text) * (against_ ? 2 : 1);
        job.hash = text.document.sha256;
        if (!batch()) { only_ = std::move(text); }
      });
      const std::string& file = job.item.file;
      job.stem = !job.item.id.empty()      ? job.item.id
                 : is_standard_input(file) ? "stdin"
                                           : std::filesystem::path(file).stem().string();
    }
  }

  // Texts are read again when it is their turn: thousands of them need not be in memory together.
  TokenizedText read(Job& job, Terminal* terminal) {
    TokenizedText text =
        options_.text.read(job.item, tokenizer_ ? &*tokenizer_ : nullptr, model_, terminal);
    const std::string source = job.item.source();
    text.document.index = &job - jobs_.data();
    require(job.hash.empty() || job.hash == text.document.sha256, ExitCode::damaged,
            {.file = source}, "the text changed while the batch ran");
    cut_into_chunks(text, model_.architecture.context, options_.window, source);
    return text;
  }

  // Gives every text of a batch its folder, and finds what is done. The index of a batch would not
  // name the files of a single text beside it.
  void begin_index(OutputFolder& folder) {
    require(batch() || options_.force || folder.temporary() ||
                !std::filesystem::exists(folder.path() / kBatchFile),
            ExitCode::io, {.file = folder.path().native()},
            "results of a batch are here; choose another folder, or --force");
    if (!batch()) { return; }
    std::vector<IndexRow> rows;
    for (const Job& job : jobs_) {
      rows.push_back({job.stem, display_text(job.item.source()), job.tokens, job.hash,
                      job.failure ? TextStatus::failed : TextStatus::pending,
                      printable(job.failure.line())});
    }
    if (folder.temporary()) {
      for (std::size_t i = 0; i < jobs_.size(); ++i) {
        jobs_[i].subfolder = numbered_folder(i, jobs_[i].stem);
      }
      return;
    }
    const bool chats = tokenizer_ && tokenizer_->chat;
    index_.emplace(folder, command_,
                   options_.identity(model_, chats ? &*tokenizer_->chat : nullptr));
    const std::vector<std::string> left =
        index_->begin(std::move(rows), options_.skip_done, options_.force);
    if (!left.empty()) {
      terminal_.warn(describe({.file = (folder.path() / left.front()).native()},
                              join_words("results of another batch remain here",
                                         left.size() > 1 ? " and in others" : "", " (", left.size(),
                                         " in all); index.csv does not name them")));
    }
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
      Job& job = jobs_[i];
      job.subfolder = index_->rows()[i].folder;
      job.skipped = options_.skip_done && !job.failure && index_->done_before(i) &&
                    files_exist(folder.path() / job.subfolder);
      if (job.skipped) { record(job, TextStatus::done); }
    }
  }

  bool files_exist(const std::filesystem::path& folder) const {
    const std::vector<std::string> names = options_.file_names();
    return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
      return std::filesystem::exists(folder / name);
    });
  }

  void record(const Job& job, TextStatus status) {
    if (!index_) { return; }
    IndexRow& row = index_->rows()[&job - jobs_.data()];
    row.status = status;
    row.error = printable(job.failure.line());
  }

  void save_index() {
    if (index_) { index_->save(); }
  }

  // Whatever ends it, the index says how far it came.
  void run_in(OutputFolder& folder) {
    try {
      load();
      run_jobs(folder);
    } catch (const Error& error) {
      save_index();
      if (index_ && error.code() == ExitCode::interrupted) {
        terminal_.say(tally() + "; the same command with --skip-done continues");
      }
      throw;
    }
    save_index();
  }

  void load() {
    std::int64_t tokens = 0;
    for (const Job& job : jobs_) { tokens = std::max(tokens, job.tokens); }
    std::vector<const RunPlan*> plans{&plan_};
    if (against_) { plans.push_back(&*against_); }
    loaded_ = load_model(model_, options_.compute, plans, tokens, terminal_, settings_);
  }

  void run_jobs(OutputFolder& folder) {
    std::uint64_t tokens = 0;
    for (const Job& job : jobs_) { tokens += job.skipped || job.failure ? 0 : job.tokens_to_run; }
    if (batch()) { progress_.emplace(terminal_, jobs_.size(), tokens); }
    for (Job& job : jobs_) {
      const bool waiting = !job.skipped && !job.failure;
      attempt(job, [&] {
        if (progress_) {
          progress_->begin(std::size_t(&job - jobs_.data()) + 1, job.item.source());
        }
        run_job(job, folder);
        job.done = true;
        record(job, TextStatus::done);
        if (progress_) { progress_->end(job.tokens, job.tokens_to_run); }
      });
      if (!waiting) { continue; }
      if (job.failure && progress_) { progress_->skip(job.tokens_to_run); }
      if (index_) { index_->save_soon(); }
    }
  }

  void run_job(Job& job, OutputFolder& folder) {
    folder.clear();
    const TokenizedText text = only_ ? *std::exchange(only_, {}) : read(job, nullptr);
    const std::filesystem::path trace_path = folder.staged(kTraceFile);
    settings_.command = batch() ? options_.command_of(job.item, job.subfolder) : command_;
    Progress& sink = progress_ ? static_cast<Progress&>(*progress_) : terminal_;
    TokenProgress tokens(sink, job.tokens_to_run);
    const std::vector<std::int32_t> ids = ids_of(text);
    if (compared_) { check_tokens(*compared_, ids); }
    plan_.check_text(ids);  // before the other run
    if (against_) { against_->check_text(ids); }
    options_.figures.check_tokens(job.tokens, job.item.source());
    TraceSettings settings = settings_;
    if (tokenizer_) { settings.tokenizer = &tokenizer_->tokenizer; }
    const std::unique_ptr<LogitsFile> logits = run_against(text, folder, tokens);
    if (logits) {
      settings.against_logits = logits.get();
      settings.against = canonical_words(*options_.changes.against);
    }
    record_trace(trace_path, model_, plan_, *loaded_, text, settings, tokens);
    sink.update(Stage::write, 0, 1);
    const Trace trace = open_with_parameters(folder, trace_path, model_, options_);
    const std::vector<LayerSummary> layers = summarise(trace);
    Json summary = summary_json(trace, layers);
    std::vector<RouteMatch> matches;
    if (compared_) {
      matches = match_routes(trace, plan_, *compared_);
      summary["routes"] = json_of(matches, *compared_);
    }
    write_tables(folder, trace, summary, options_);
    std::vector<std::string> files = options_.file_names();
    if (options_.writes("npz") && std::filesystem::exists(folder.staged(kModelFile))) {
      files.insert(files.begin(), kModelFile);
    }
    std::vector<std::string> made;  // places that are known only now
    Effect effect;
    if (against_) { effect = write_effect(folder, trace, layers, model_, options_, made); }
    const std::vector<std::string> pictures =
        write_pictures(folder, trace, options_, sink, terminal_);
    made.insert(made.end(), pictures.begin(), pictures.end());
    folder.check_places(job.subfolder, made);
    files.insert(files.end(), made.begin(), made.end());
    if (options_.compress) { compress_npz(trace_path); }
    if (!progress_) { terminal_.erase(); }
    folder.publish(job.subfolder, files);
    if (!folder.temporary()) {
      const std::string older = older_files(folder.path() / job.subfolder, files);
      if (!older.empty()) { terminal_.warn(describe({.file = folder.path().native()}, older)); }
    }
    ties_.add(trace, layers);
    if (!batch() && !ties_.text().empty()) {
      terminal_.warn(describe({.file = job.item.source()}, ties_.text()));
    }
    for (const std::string& warning :
         trace_warnings(trace, layers, loaded_->nonfinite_weights() == 0)) {
      terminal_.warn(describe({.file = job.item.source()}, warning));
    }
    if (against_) { summary["effect"] = std::move(effect.document); }  // of what is printed
    report(job, trace, layers, summary, matches);
    if (against_ && !options_.json && !options_.talk.quiet) { print(effect.words); }
  }

  // Runs the text with the interventions of --against; its logits are there for the run that
  // follows. Null without --against.
  std::unique_ptr<LogitsFile> run_against(const TokenizedText& text, const OutputFolder& folder,
                                          TokenProgress& progress) {
    if (!against_) { return nullptr; }
    const std::filesystem::path place = folder.staged(kAgainstFolder);
    std::filesystem::create_directory(place);
    auto logits =
        std::make_unique<LogitsFile>(place, std::ssize(text.tokens), model_.architecture.vocab);
    TraceSettings settings = settings_;
    if (tokenizer_) { settings.tokenizer = &tokenizer_->tokenizer; }
    settings.keep_logits = logits.get();
    record_trace(place / kTraceFile, model_, *against_, *loaded_, text, settings, progress);
    return logits;
  }

  void report(const Job& job, const Trace& trace, const std::vector<LayerSummary>& layers,
              const Json& summary, const std::vector<RouteMatch>& matches) {
    check_thresholds(options_.thresholds, layers, summary, printable(job.item.source()));
    if (options_.json) {
      summaries_.push_back(summary);
    } else if (!options_.talk.quiet) {
      const std::string title = batch() ? job.subfolder + "\n" : "";
      print(title + layer_table(trace, layers, mean_nll(summary)));
      if (compared_) { print(route_table(matches, *compared_)); }
    }
  }

  int finish() {
    terminal_.erase();
    if (options_.json) { print(json_text(summaries_)); }
    if (batch() && !ties_.text().empty()) { terminal_.warn(ties_.text()); }
    if (batch()) { terminal_.say(tally()); }
    const bool failed = !all([](const Job& job) { return !job.failure; });
    const std::string passed = options_.thresholds.failures();
    if (!passed.empty()) { terminal_.error(passed); }
    if (failed) { return int(ExitCode::some_failed); }
    return int(passed.empty() ? ExitCode::ok : ExitCode::internal);
  }

  std::string tally() const {
    Tally tally{.texts = jobs_.size(), .indexed = index_.has_value()};
    for (const Job& job : jobs_) {
      tally.failed += job.failure ? 1 : 0;
      tally.skipped += job.skipped ? 1 : 0;
      tally.done += job.done || job.skipped ? 1 : 0;
      if (job.done) { tally.tokens += job.tokens; }
    }
    if (progress_) { tally.seconds = progress_->seconds(); }
    return tally.text();
  }

  RunOptions options_;
  std::string command_;
  Interrupts interrupts_;  // before all that takes long or starts threads
  Terminal terminal_;
  Model model_;
  RunPlan plan_;
  TraceSettings settings_;
  std::optional<RunPlan> against_;               // of the run to compare each with
  std::shared_ptr<const GivenRoutes> compared_;  // nullptr: none to compare the routing with
  std::optional<TextTokenizer> tokenizer_;
  std::vector<Job> jobs_;
  std::optional<TokenizedText> only_;      // the text, where there is one
  std::optional<BatchIndex> index_;        // of several texts and their output folder
  std::unique_ptr<EngineModel> loaded_;    // after model_, which it refers to
  std::optional<BatchProgress> progress_;  // of several texts
  NearTies ties_;                          // of all texts
  Json summaries_ = Json::array();
};

}  // namespace

int run_verb(const Arguments& arguments) {
  RunOptions options;
  if (!options.parse(arguments.words)) { return int(ExitCode::ok); }
  return Run(std::move(options), arguments.command).run();
}

}  // namespace kappascope
