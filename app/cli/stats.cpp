// `kappascope stats`: what a corpus adds up to in a model, on one machine or many.
#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "app/cli/interrupts.h"
#include "app/cli/load_model.h"
#include "app/cli/output_folder.h"
#include "app/cli/rank_runs.h"
#include "app/cli/stats_calls.h"
#include "app/cli/stats_options.h"
#include "app/cli/stats_report.h"
#include "app/cli/stats_state.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "app/run_text.h"
#include "core/checkpoint/folder.h"
#include "core/engine/ranks.h"
#include "core/threads.h"
#include "core/trace/byte_archive.h"
#include "core/trace/recorder.h"
#include "core/trace/stats_file.h"
#include "core/trace/trace_meta.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

// Documents whose calls have nothing to do with those of others: a call begins and ends with them,
// so that ranks can share a corpus in any number and make the same calls.
constexpr std::int64_t kUnit = 64;
// Saving may take this share of the time.
constexpr double kSaveShare = 0.02;

constexpr const char* kGoOn = "interrupted; the same command with --resume goes on";

// A run that was stopped and went on gives the very result of one that was not.
std::string without_resume(std::string command) {
  constexpr std::string_view kWord = " --resume";
  const std::size_t at = command.find(kWord);
  return at == command.npos ? command : command.erase(at, kWord.size());
}

class Stats {
 public:
  Stats(StatsOptions options, const std::string& command, const std::optional<RankPlace>& place)
      : options_(std::move(options)),
        place_(place),
        terminal_(is_first() ? options_.talk.talk() : Talk::quiet, interrupts_),
        command_(command),
        path_(options_.output) {
    if (place_ && place_->size_here > 1 && options_.compute.threads == 0) {
      options_.compute.threads = std::max(1, usable_threads() / place_->size_here);
      limit_threads(options_.compute.threads);
    }
  }

  int run() {
    return work_on_ranks(place_, ranks_, terminal_, [&] {
      try {
        work();
      } catch (const Error& error) {
        if (error.code() != ExitCode::interrupted || !saved_) { throw; }
        throw Error(ExitCode::interrupted, kGoOn);
      }
      return int(failed_ > 0 ? ExitCode::some_failed : ExitCode::ok);
    });
  }

 private:
  bool is_first() const { return !place_ || place_->rank == 0; }
  int rank() const { return place_ ? place_->rank : 0; }
  int size() const { return place_ ? place_->size : 1; }
  fs::path state_file() const { return path_ / state_name(rank(), size()); }

  void work() {
    options_.source.files = corpus_files(options_.corpus);
    open();
    std::optional<OutputFolder> folder;
    if (is_first()) {
      folder.emplace(path_, options_.force, interrupts_);
      folder->check_places({}, {kStatsFile, kStatsJson, kStatsCsv, kModelFile});
      check_states(path_, size(), options_.resume, options_.force);
    }
    meet();
    read_corpus();
    CorpusTotals all = gathered();
    if (folder) {
      name_tokens(all);
      finish(*folder, all);
    }
    meet();
  }

  void meet() {
    if (ranks_) { require_exchanged(ranks_->wait()); }
  }

  void open() {
    model_.emplace(
        open_model(options_.model, {.step = options_.step, .kappa = options_.reading.choices()}));
    say_unknown(*model_, terminal_);
    const fs::path tokenizer =
        find_tokenizer(model_->files.weights.parent_path(), options_.tokenizer_folder);
    tokenizer_.emplace(Tokenizer::load(tokenizer));
    tokenizer_sha256_ = Tokenizer::files_sha256(tokenizer);
    if (options_.source.chats) {
      warn_of_date(chat_.emplace(ChatFormat::load(tokenizer)), terminal_);
    }
    plan_.emplace(resolve(*model_, options_.changes.list));
    const std::int64_t context = model_->architecture.context;
    room_ = options_.call_tokens > 0 ? options_.call_tokens : context;
    require(room_ <= context, ExitCode::usage, {}, "--call-tokens: expected at most ", context,
            " (sequence_len), found ", room_);
    require(!options_.window || room_ >= 2, ExitCode::usage, {},
            "--window needs calls of two tokens or more");
    trace_.only_assistant = !options_.only.empty();
    trace_.record_gates = options_.effect_tails;
    pass_.emplace(*model_, *plan_, options_.seed,
                  CorpusGates{.counted = trace_.only_assistant,
                              .effect = options_.effect_tails,
                              .overlap = options_.window});
    settings_ = settings_text();
  }

  // All that the totals depend on.
  std::string settings_text() const {
    Json json = corpus_json();
    json["config_sha256"] = model_->config_sha256;
    json["tensor_directory_sha256"] = model_->directory_sha256;
    json["interventions"] = canonical_words(options_.changes.list);
    json["dtype"] = options_.compute.dtype;
    json["step"] = model_->files.step.value_or(-1);
    json["ranks"] = size();
    return json.dump();
  }

  // What was read, and how, as result and state say it.
  Json corpus_json() const {
    const CorpusSource& source = options_.source;
    Json json{{"files", Json::array()},
              {"text_field", source.text_field},
              {"domain_field", source.domain_field},
              {"documents", source.documents},
              {"tokens", options_.tokens},
              {"sample", {{"seed", source.sample_seed}, {"share", source.sample_share}}},
              {"tokenizer_sha256", tokenizer_sha256_},
              {"call_tokens", room_},
              {"window", options_.window},
              {"seed", options_.seed}};
    if (chat_) { json["chat"] = chat_->name(); }
    if (chat_ && !chat_->sha256().empty()) { json["chat_sha256"] = chat_->sha256(); }
    if (!options_.only.empty()) { json["only"] = options_.only; }
    if (options_.effect_tails) { json["effect_tails"] = true; }
    for (const std::string& file : source.files) { json["files"].push_back(display_text(file)); }
    return json;
  }

  void read_corpus() {
    CorpusPlace begin;
    if (options_.resume) {
      if (const auto found = read_state(state_file(), settings_, pass_->totals())) {
        begin = *found;
        note_saved();
        terminal_.say(join_words("going on after ", begin.read.count, " documents"));
      }
    }
    loaded_ = load_model(*model_, options_.compute, {&*plan_}, room_, terminal_, trace_);
    DocumentReader reader(options_.source);
    progress_.emplace(terminal_, reader);
    CallPacker packer(room_, options_.window,
                      [&](const CorpusCall& call, std::int64_t pieces) { run_call(call, pieces); });
    place_in_corpus_ = begin;
    std::int64_t taken = 0, broken = 0;
    DocumentsRead skipped;
    Document document;
    const auto check = [&] { interrupts_.check(); };
    while (!full() && reader.next(document, check)) {
      if (document.index < 0) {
        if (++broken > begin.read_failures && is_first()) { take_failure(document.failure); }
        place_in_corpus_.read_failures = broken;
        continue;
      }
      const std::int64_t n = taken++;
      if (n < begin.read.count) {
        skipped.add(document.text);
        continue;
      }
      require_same_documents(state_file(), skipped, begin.read);
      take(document, n, n == begin.read.count ? begin.pieces : 0, packer);
    }
    if (!full()) { require_same_documents(state_file(), skipped, begin.read); }
    packer.flush();
    terminal_.erase();
  }

  bool full() const { return options_.tokens > 0 && place_in_corpus_.tokens >= options_.tokens; }

  // The n-th document that is taken, of which `done` pieces were run before.
  void take(const Document& document, std::int64_t n, std::int64_t done, CallPacker& packer) {
    place_in_corpus_.pieces = 0;
    if (n % kUnit == 0) { packer.flush(); }
    const bool own = (n / kUnit) % size() == rank();
    if (own || options_.tokens > 0) {
      try {
        if (document.failure) { throw Error(document.failure); }
        const CorpusText text{document_key(document.source), document.domain, tokens_of(document),
                              trace_.only_assistant};
        if (own) { packer.add(text, done); }
        place_in_corpus_.tokens += std::ssize(text.text.tokens);
      } catch (const Error& error) {
        if (error.code() != ExitCode::damaged && error.code() != ExitCode::unsupported) { throw; }
        if (own) { take_failure(error.failure()); }
      }
    }
    place_in_corpus_.read.add(document.text);
    place_in_corpus_.pieces = 0;
  }

  TokenizedText tokens_of(const Document& document) const {
    const SourceText text{document.source, document.text};
    return chat_ ? tokenize_chat(text, *chat_, *tokenizer_, *model_, tokens_left())
                 : tokenize(text, *tokenizer_, *model_, tokens_left());
  }

  std::int64_t tokens_left() const {
    return options_.tokens > 0 ? options_.tokens - place_in_corpus_.tokens : 0;
  }

  void take_failure(const Failure& failure) {
    pass_->totals().add_failure(failure.line());
    terminal_.warn(join_words("skipped: ", failure.line()));
  }

  void run_call(const CorpusCall& call, std::int64_t pieces) {
    pass_->begin(call);
    std::vector<std::int64_t> sequences;
    for (const CallText& text : call.texts) { sequences.push_back(text.begin); }
    ForwardCall forward{.ids = call.ids};
    forward.first_recorded = call.first_counted;
    forward.next_id = call.next_id;
    forward.text_tokens = std::ssize(call.ids) + (call.next_id >= 0 ? 1 : 0);
    if (sequences.size() > 1) { forward.sequences = sequences; }
    const Failure failure = loaded_->forward(forward, *plan_, *pass_, *progress_);
    if (pass_->failure()) { throw Error(pass_->failure()); }
    if (failure) { throw Error(failure); }
    pass_->end();
    progress_->add(std::ssize(call.ids));
    place_in_corpus_.pieces = pieces;
    save_at_times();
  }

  // The place is where the next document begins, or goes on.
  void save_at_times() {
    using Seconds = std::chrono::duration<double>;
    const auto now = std::chrono::steady_clock::now();
    if (Seconds(now - saved_at_).count() < std::max(1.0, save_seconds_ / kSaveShare)) { return; }
    write_state(state_file(), settings_, place_in_corpus_, pass_->totals());
    note_saved();
    saved_at_ = std::chrono::steady_clock::now();
    save_seconds_ = Seconds(saved_at_ - now).count();
  }

  void note_saved() {
    saved_ = true;
    interrupts_.say_at_end(kGoOn);
  }

  // Of all ranks, on the first one: pairs of neighbours join theirs, then pairs of these, so that
  // none holds more than two at once and the way is log2(ranks) long.
  CorpusTotals gathered() {
    CorpusTotals all = std::move(pass_->totals());
    for (int step = 1; step < size(); step *= 2) {
      if (rank() % (2 * step) == step) {
        ByteWriter writer;
        writer(all);
        require_exchanged(ranks_->send(rank() - step, writer.bytes));
        return {};
      }
      if (rank() + step < size()) { add_from(rank() + step, all); }
    }
    return all;
  }

  void add_from(int other, CorpusTotals& all) {
    std::vector<std::byte> bytes;
    require_exchanged(ranks_->receive(other, bytes));
    CorpusTotals part;
    ByteReader(bytes, join_words("rank ", other))(part);
    all.add(part);
  }

  void name_tokens(CorpusTotals& totals) const {
    for (const std::int32_t id : totals.shown_tokens()) {
      totals.token_bytes[id] = tokenizer_->bytes(id);
    }
  }

  void finish(OutputFolder& folder, const CorpusTotals& totals) {
    failed_ = totals.failed_documents;
    trace_.command = without_resume(command_);
    trace_.tool_version = kToolVersion;
    trace_.dtype = options_.compute.dtype;
    Json meta = corpus_meta(*model_, *plan_, trace_);
    meta["corpus"] = corpus_json();
    publish_result(folder, totals, std::move(meta),
                   [&](const fs::path& path) { write_model_parameters(path, *model_); },
                   {.json = options_.json, .quiet = options_.talk.quiet});
    remove_states(path_);
    if (!options_.source.domain_field.empty() && totals.domains.empty() && totals.documents > 0) {
      terminal_.warn(join_words("--domain-field ", display_text(options_.source.domain_field),
                                ": no document has a text or a number there"));
    }
    if (failed_ > 0) {
      terminal_.warn(join_words(failed_, failed_ == 1 ? " document" : " documents",
                                " could not be used: ", kStatsJson, " names them"));
    }
  }

  // Bytes read and tokens run.
  class CorpusProgress final : public Progress {
   public:
    CorpusProgress(Terminal& terminal, const DocumentReader& reader)
        : terminal_(terminal), reader_(reader) {}
    bool update(Stage stage, std::uint64_t done, std::uint64_t total) noexcept override {
      if (stage != Stage::prefill) { return terminal_.update(stage, done, total); }
      try {
        show();
      } catch (...) { return false; }
      return !terminal_.asked_to_stop();
    }
    void add(std::int64_t tokens) { tokens_ += tokens; }

   private:
    void show() {
      if (!terminal_.shows_progress()) { return; }
      const double seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
      const double all = double(std::max<std::uint64_t>(1, reader_.bytes_total()));
      const double share = double(reader_.bytes_read()) / all;
      std::string line = join_words(int(100 * share), " % of the corpus, ", tokens_, " tokens, ",
                                    rate_text(double(tokens_), seconds));
      if (share > 0.001) {
        line += join_words(", ", duration_text(seconds / share - seconds), " left at most");
      }
      terminal_.show(line, false);
    }
    Terminal& terminal_;
    const DocumentReader& reader_;
    std::int64_t tokens_ = 0;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  };

  StatsOptions options_;
  std::optional<RankPlace> place_;
  Interrupts interrupts_;  // before all that takes long or starts threads
  Terminal terminal_;
  std::string command_, settings_;
  fs::path path_;
  std::unique_ptr<Ranks> ranks_;  // nullptr: this process is alone
  std::optional<Model> model_;
  std::optional<Tokenizer> tokenizer_;
  std::string tokenizer_sha256_;
  std::optional<ChatFormat> chat_;
  std::optional<RunPlan> plan_;
  std::optional<CorpusPass> pass_;
  std::unique_ptr<EngineModel> loaded_;
  std::optional<CorpusProgress> progress_;
  TraceSettings trace_;  // what loading says of device and engine
  std::int64_t room_ = 0;
  CorpusPlace place_in_corpus_;
  std::int64_t failed_ = 0;
  std::chrono::steady_clock::time_point saved_at_ = std::chrono::steady_clock::now();
  double save_seconds_ = 0;
  bool saved_ = false;  // there is a state to go on from
};

}  // namespace

int stats_verb(const Arguments& arguments) {
  const std::optional<RankPlace> place = rank_place();
  StatsOptions options;
  const auto ended = parse_on_ranks(place, [&] { return options.parse(arguments.words); });
  if (ended) { return *ended; }
  return Stats(std::move(options), arguments.command, place).run();
}

}  // namespace kappascope
