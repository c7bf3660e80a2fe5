// `kappascope train`: small models for comparisons, trained on the user's texts.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "app/cli/interrupts.h"
#include "app/cli/output_folder.h"
#include "app/cli/rank_runs.h"
#include "app/cli/train_options.h"
#include "app/cli/train_texts.h"
#include "app/cli/training_run.h"
#include "app/cli/verbs.h"
#include "core/checkpoint/folder.h"
#include "core/checkpoint/torch_writer.h"
#include "core/corpus/corpus_files.h"
#include "core/engine/ranks.h"
#include "core/threads.h"
#include "core/tokenizer/bpe_trainer.h"
#include "core/tokenizer/tokenizer.h"
#include "core/trace/output_file.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

constexpr int kPatienceMs = 60000;  // a step and the files of a checkpoint
constexpr const char* kTokenizerFile = "tokenizer.pkl";
constexpr const char* kTokenBytesFile = "token_bytes.pt";
constexpr const char* kTokenizerFolder = "tokenizer";
// Folders where there are two models; the first is started first.
struct Pair {
  Twin differs = Twin::none;
  const char *first = "", *second = "";
};
constexpr Pair kOfKappa{Twin::kappa, "kappa", "kappa-off"};
constexpr Pair kOfRouters{Twin::router, "topk", "softmoe"};
constexpr Pair kPairs[] = {kOfKappa, kOfRouters};

// Of the second model of a pair whose first has `settings`.
TrainSettings second_of(const Pair& pair, TrainSettings settings) {
  if (pair.differs == Twin::router) {
    settings.router = "softmoe";
    return settings;
  }
  settings.kappa = "off";
  settings.kappa_router = false;
  return settings;
}

class Training {
 public:
  // `place`: among the ranks of the run, of which the first writes and speaks.
  Training(TrainOptions options, const std::optional<RankPlace>& place)
      : options_(std::move(options)),
        place_(place),
        interrupts_(kPatienceMs),
        terminal_(is_first() ? options_.talk.talk() : Talk::quiet, interrupts_),
        path_(options_.resume.empty() ? options_.output : options_.resume) {
    if (place_ && place_->size_here > 1 && options_.threads == 0) {
      options_.threads = std::max(1, usable_threads() / place_->size_here);
      limit_threads(options_.threads);
    }
  }

  int run() {
    return work_on_ranks(place_, ranks_, terminal_, [&] {
      work();
      return int(ExitCode::ok);
    });
  }

 private:
  struct Trained {
    fs::path folder;
    std::string label;
  };

  bool is_first() const { return !place_ || place_->rank == 0; }

  void work() {
    require_device(options_.device, place_ ? place_->rank_here : 0);
    std::optional<OutputFolder> folder;
    if (is_first()) {
      if (options_.resume.empty()) { check_place(); }
      check_resumable();
      folder.emplace(path_, options_.force, interrupts_);
      if (options_.resume.empty()) {
        begin(*folder);
      } else {
        open_run();
        complete_pair(*folder);
      }
    }
    meet();
    if (!is_first()) {
      models_ = found_models();
      require(!models_.empty(), ExitCode::io, {.file = path_.native()},
              "the run that rank 0 has begun is not here; expected a folder that all ranks share");
      open_run();
    }
    run_models(folder ? &*folder : nullptr);
    meet();
  }

  void meet() {
    if (ranks_) { require_exchanged(ranks_->wait()); }
  }

  void run_models(OutputFolder* folder) {
    TrainingPlace place{
        folder,          path_,           ranks_.get(), place_ ? place_->rank_here : 0,
        interrupts_,     terminal_,       *corpus_,     token_bytes(),
        options_.device, options_.threads};
    bool any = false;
    for (const auto& [model, label] : models_) {
      TrainingRun run(place, model, label);
      if (run.done()) { continue; }
      if (!std::exchange(any, true)) { terminal_.say(summary_); }
      run.run();
      terminal_.say(join_words(label, "done: ", model.string()));
    }
    if (!any) { terminal_.say("nothing is left to do: the run has reached its last step"); }
  }

  // The folders of a run that is there; empty: none.
  std::vector<Trained> found_models() const {
    if (newest_resumable(path_)) { return {{path_, ""}}; }
    std::vector<Trained> found;
    for (const Pair& pair : kPairs) {
      for (const char* name : {pair.first, pair.second}) {
        if (newest_resumable(path_ / name)) { found.push_back(model_of(name)); }
      }
    }
    return found;
  }

  // One of two.
  Trained model_of(const char* name) const { return {path_ / name, join_words(name, ": ")}; }

  void check_resumable() {
    if (options_.resume.empty()) { return; }
    models_ = found_models();
    require(!models_.empty(), ExitCode::io, {.file = options_.resume},
            "no training to go on with: expected model_NNNNNN.pt, meta_NNNNNN.json and "
            "optim_NNNNNN_rank0.pt of one step");
  }

  // Nothing of a run is replaced unless asked for.
  void check_place() const {
    const std::vector<fs::path> there = files_of_run();
    require(options_.force || there.empty(), ExitCode::io,
            {.file = there.empty() ? "" : there.front().native()},
            "a training run is here; --resume goes on with it, --force replaces it");
    std::error_code absent;
    for (const char* name : {kTokenizerFile, kTokenBytesFile}) {
      const fs::path file = path_ / kTokenizerFolder / name;
      require(options_.force || keeps_tokenizer() || !fs::exists(file, absent), ExitCode::io,
              {.file = file.native()},
              "another tokenizer is here; expected an output folder without one, or --tokenizer ",
              (path_ / kTokenizerFolder).native(), "; --force replaces it");
    }
  }

  // The tokenizer of the run is the one that is in the output folder.
  bool keeps_tokenizer() const {
    if (options_.tokenizer.empty()) { return false; }
    std::error_code absent;
    const fs::path given = find_tokenizer({}, options_.tokenizer);
    return fs::equivalent(given, path_ / kTokenizerFolder / kTokenizerFile, absent);
  }

  void put_tokenizer(OutputFolder& folder) {
    std::error_code absent;
    const fs::path place = path_ / kTokenizerFolder;
    std::vector<std::string> names;
    for (const char* name : {kTokenizerFile, kTokenBytesFile}) {
      if (!keeps_tokenizer() || !fs::exists(place / name, absent)) { names.push_back(name); }
    }
    put_in_place(folder, interrupts_, place, names);
  }

  std::vector<fs::path> files_of_run() const {
    std::vector<fs::path> found;
    std::error_code absent;
    std::vector<fs::path> folders{path_};
    for (const Pair& pair : kPairs) {
      folders.insert(folders.end(), {path_ / pair.first, path_ / pair.second});
    }
    for (const fs::path& folder : folders) {
      for (const auto& entry : fs::directory_iterator(folder, absent)) {
        if (is_of_run(entry.path())) { found.push_back(entry.path()); }
      }
    }
    return found;
  }

  static bool is_of_run(const fs::path& path) {
    const std::string name = path.filename().string();
    const auto begins = [&](std::string_view head) { return name.starts_with(head); };
    const std::string end = path.extension().string();
    return name == kTrainLog || ((begins("model_") || begins("optim_")) && end == ".pt") ||
           (begins("meta_") && end == ".json");
  }

  void begin(OutputFolder& folder) {
    TrainSettings& settings = options_.settings;
    check_shares(settings);
    settings.texts = training_files(options_.texts);
    require(!options_.text_field_given ||
                std::any_of(settings.texts.begin(), settings.texts.end(), has_fields),
            ExitCode::usage, {},
            "--text-field: expected a .jsonl, .csv or .parquet file among the texts, found none");
    if (!options_.without_effect.empty()) {
      terminal_.warn(join_words(options_.without_effect, ": no effect with --kappa off"));
    }
    make_tokenizer(folder);
    settings.vocab = tokenizer_->size();
    read_corpus(settings);
    settings.stream_sha256 = corpus_->sha256();
    warn_of_kappa(settings);
    warn_of_threshold(settings);
    remove_old();
    put_tokenizer(folder);
    if (options_.twin == Twin::none) {
      models_ = {{path_, ""}};
      return start_model(folder, path_, settings);
    }
    const Pair& pair = options_.twin == Twin::router ? kOfRouters : kOfKappa;
    models_ = {model_of(pair.first)};
    start_model(folder, models_[0].folder, settings);
    start_second(folder, pair, settings);
  }

  void start_second(OutputFolder& folder, const Pair& pair, const TrainSettings& of_first) {
    models_.push_back(model_of(pair.second));
    start_model(folder, models_.back().folder, second_of(pair, of_first));
  }

  // Of weights that are alike at the start a threshold above them lets no expert run.
  void warn_of_threshold(const TrainSettings& settings) {
    const double alike = settings.mean_budget() / double(settings.experts);
    if (!options_.has_soft() || settings.threshold < alike) { return; }
    terminal_.warn(join_words("--threshold ", settings.threshold, ": at the start the weights of ",
                              "all experts are about ", alike, " (budget/experts), so that few ",
                              "run or none; a lower one, or --threshold-scale, lets them learn"));
  }

  void warn_of_kappa(const TrainSettings& settings) {
    if (!settings.has_kappa()) { return; }
    // In the step after the delay the bound is 1 still, and κ with it.
    const std::int64_t without = kappa_delay(settings) + 1, steps = settings.steps();
    if (without >= steps) {
      return terminal_.warn(join_words("κ is not learned in this run: that begins after ", without,
                                       " steps, and the run has ", steps, "; give --kappa-delay ",
                                       steps / 20, ", or more --tokens than ",
                                       without * settings.batch * settings.context));
    }
    const double reached = training_step(settings, steps).bound;
    if (std::abs(reached - settings.bound) <= 1e-9 * settings.bound) { return; }
    terminal_.warn(join_words("κ's bound U ends its warm-up at ", reached, " instead of ",
                              settings.bound, ", as the run has ", settings.steps(),
                              " steps; a lower --kappa-delay or more --tokens let it rise"));
  }

  void start_model(OutputFolder& folder, const fs::path& place, const TrainSettings& settings) {
    interrupts_.check();
    const CheckpointNames names(0);
    write_start(folder.staged(names.model).parent_path(), settings);
    put_in_place(folder, interrupts_, place, names.all());
  }

  void remove_old() const {
    std::error_code ignored;
    for (const fs::path& file : files_of_run()) { fs::remove(file, ignored); }
  }

  // Stages the tokenizer of the run and opens it.
  void make_tokenizer(OutputFolder& folder) {
    const fs::path staged = folder.staged(kTokenizerFile);
    if (options_.tokenizer.empty()) {
      BpeTrainer trainer;
      read_documents(options_.settings.texts, options_.settings.text_field,
                     [&](std::string_view text, const std::string& source) {
                       interrupts_.check();
                       trainer.add(text, source);
                     });
      write_file(staged, tiktoken_pickle(trainer.train(options_.vocab)), /*sync=*/true);
    } else {
      const fs::path given = find_tokenizer({}, options_.tokenizer);
      require(given.extension() == ".pkl", ExitCode::unsupported, {.file = given.native()},
              "expected a tokenizer.pkl of tiktoken, which a model of this layout has");
      Tokenizer::load(given);  // before it is copied
      const InputFile file = InputFile::open(given);
      const auto bytes = file.read(0, file.size(), "tokenizer");
      write_file(staged, {reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                 /*sync=*/true);
    }
    tokenizer_ = Tokenizer::load(staged);
    const std::vector<std::int32_t> lengths = token_bytes();
    write_torch_tensor(folder.staged(kTokenBytesFile), {"", DType::int32, {std::ssize(lengths)}},
                       [&](const TorchTensor&, const std::function<void(Bytes)>& sink) {
                         sink(std::as_bytes(std::span(lengths)));
                       });
  }

  // Bytes of every token; 0 of special ones.
  std::vector<std::int32_t> token_bytes() const {
    std::vector<std::int32_t> lengths;
    for (std::int32_t id = 0; id < tokenizer_->size(); ++id) {
      lengths.push_back(tokenizer_->is_special(id) ? 0
                                                   : std::int32_t(tokenizer_->bytes(id).size()));
    }
    return lengths;
  }

  void read_corpus(const TrainSettings& settings) {
    std::vector<std::int32_t> stream;
    read_documents(settings.texts, settings.text_field,
                   [&](std::string_view text, const std::string& source) {
                     interrupts_.check();
                     for (const Token& token : tokenizer_->encode(text, source)) {
                       stream.push_back(token.id);
                     }
                   });
    corpus_.emplace(std::move(stream), settings.context, settings.seed);
    summary_ = join_words(corpus_->training_rows(), " sequences of ", settings.context,
                          " tokens to train on, ", corpus_->held_out_rows(), " held out; ",
                          settings.steps(), " steps");
  }

  // Every rank has as many sequences of a call.
  void check_shares(const TrainSettings& settings) const {
    const std::int64_t ranks = place_ ? place_->size : 1;
    require(settings.call() % ranks == 0, ExitCode::usage, {}, "--",
            settings.micro_batch > 0 ? "micro-batch" : "batch",
            ": expected a multiple of the number of ranks, ", ranks, " (WORLD_SIZE), found ",
            settings.call());
  }

  void open_run() {
    const fs::path first = models_.front().folder;
    const TrainSettings settings = settings_of(first, *newest_resumable(first));
    check_shares(settings);
    tokenizer_ = Tokenizer::load(find_tokenizer(first));
    read_corpus(settings);
    options_.settings = settings;
  }

  // What a pair lacks when it was ended between the starts of its models is made now.
  void complete_pair(OutputFolder& folder) {
    if (models_.size() > 1) { return; }
    const fs::path first = models_.front().folder;
    for (const Pair& pair : kPairs) {
      if (first != path_ / pair.first) { continue; }
      terminal_.say(join_words("the pair lacks ", pair.second, ": it is started now"));
      make_second(folder, pair, options_.settings);
    }
  }

  void make_second(OutputFolder& folder, const Pair& pair, const TrainSettings& of_first) {
    for (const fs::path& file : files_of_run()) {
      require(file.parent_path() != path_ / pair.second || file.extension() != ".json",
              ExitCode::io, {.file = file.native()}, "expected optim_NNNNNN_rank0.pt of its step, ",
              "found none: this model of the pair cannot go on; --resume ",
              (path_ / pair.first).native(), " goes on with the other alone");
    }
    start_second(folder, pair, of_first);
  }

  TrainOptions options_;
  const std::optional<RankPlace> place_;
  Interrupts interrupts_;  // before all that takes long or starts threads
  Terminal terminal_;
  fs::path path_;
  std::optional<Tokenizer> tokenizer_;
  std::optional<Corpus> corpus_;
  std::string summary_;  // of the corpus
  std::vector<Trained> models_;
  std::unique_ptr<Ranks> ranks_;  // nullptr: this process is alone
};

}  // namespace

int train_verb(const Arguments& arguments) {
  const std::optional<RankPlace> place = rank_place();
  TrainOptions options;
  const auto ended = parse_on_ranks(place, [&] { return options.parse(arguments.words); });
  if (ended) { return *ended; }
  return Training(std::move(options), place).run();
}

}  // namespace kappascope
