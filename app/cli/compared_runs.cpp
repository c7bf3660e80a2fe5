#include "app/cli/compared_runs.h"

#include <algorithm>
#include <map>
#include <memory>

#include "app/cli/interrupts.h"
#include "app/cli/load_model.h"
#include "app/cli/verbs.h"
#include "app/run_text.h"
#include "core/checkpoint/folder.h"
#include "core/trace/corpus_totals.h"
#include "core/trace/joined.h"
#include "core/trace/kappa_in_force.h"
#include "core/trace/meta.h"
#include "core/trace/npz.h"
#include "core/trace/stats_file.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

bool is_folder(const fs::path& path) {
  std::error_code unreadable;
  return fs::is_directory(path, unreadable);
}

// The folder, which names a run beside others, of what was run for the comparison.
constexpr const char* kRunNow = "run now";

// Traces of a batch: those of the folders in it.
std::vector<fs::path> traces_below(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code unreadable;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, unreadable)) {
    if (is_there(entry.path() / kTraceFile)) { files.push_back(entry.path() / kTraceFile); }
  }
  require(!unreadable, ExitCode::io, {.file = folder.native()},
          "cannot be read: ", unreadable.message());
  require(!files.empty(), ExitCode::io, {.file = folder.native()},
          "the results of a batch, of which no text has a trace.npz");
  std::sort(files.begin(), files.end());
  return files;
}

// The hash of a text; "" where a trace does not say it.
std::string document_hash(const Trace& trace) {
  return text_of(meta_at(trace, "document", "sha256"));
}

// What tells texts apart: their hash or, where some trace does not say it, that of their tokens.
std::string text_key(const Trace& trace, bool by_hash) {
  if (by_hash) { return document_hash(trace); }
  std::string bytes;
  for (const std::string& token : trace.token_bytes_hex) { bytes += token; }
  return sha256_hex(bytes);
}

// Puts the texts of a run into the order of the first run's.
void put_in_order(ComparedRun& run, const ComparedRun& first) {
  const auto has_hash = [](const Trace& text) { return !document_hash(text).empty(); };
  const bool by_hash = std::all_of(run.texts.begin(), run.texts.end(), has_hash) &&
                       std::all_of(first.texts.begin(), first.texts.end(), has_hash);
  std::multimap<std::string, std::size_t> places;
  for (std::size_t d = 0; d < run.texts.size(); ++d) {
    places.emplace(text_key(run.texts[d], by_hash), d);
  }
  require(run.texts.size() == first.texts.size(), ExitCode::usage, {.file = run.path},
          run.texts.size(), " texts, but ", first.texts.size(), " in ", first.path,
          "; expected the same texts in every run");
  std::vector<Trace> ordered;
  for (const Trace& text : first.texts) {
    const auto found = places.find(text_key(text, by_hash));
    require(found != places.end(), ExitCode::usage, {.file = run.path}, "no trace of ",
            first.texts.size() > 1 ? "a text of " : "the text of ", first.path,
            "; expected the same texts in every run");
    ordered.push_back(std::move(run.texts[found->second]));
    places.erase(found);
  }
  run.texts = std::move(ordered);
}

// One model and all texts.
class Recording {
 public:
  Recording(const ComparedRun& run, RecordingWords& words, Terminal& terminal)
      : words_(words),
        terminal_(terminal),
        model_(open_model(run.path, {.step = run.step, .kappa = words.reading.choices()})),
        plan_(resolve(model_, {})) {
    const std::int64_t experts = model_.architecture.most_experts();
    require(experts <= kMostRecordedExperts, ExitCode::unsupported,
            {.file = model_.files.meta.native()}, "model_config.n_exp: expected at most ",
            kMostRecordedExperts, " experts in a trace, found ", experts);
  }

  // `first`: of the runs, for warnings that would be the same again.
  void read_texts(std::vector<TextItem>& items, bool first) {
    say_unknown(model_, terminal_);
    const std::optional<TextTokenizer> tokenizer = words_.text.open_tokenizer(model_, terminal_);
    for (std::size_t d = 0; d < items.size(); ++d) {
      go_on(terminal_, Stage::read, d, items.size());
      texts_.push_back(words_.text.read(items[d], tokenizer ? &*tokenizer : nullptr, model_,
                                        first ? &terminal_ : nullptr));
      texts_.back().document.index = static_cast<std::int64_t>(d);
      cut_into_chunks(texts_.back(), model_.architecture.context, words_.window, items[d].source());
    }
  }

  void load() {
    std::int64_t tokens = 0;
    for (const TokenizedText& text : texts_) {
      tokens = std::max(tokens, std::int64_t(text.tokens.size()));
    }
    settings_.tool_version = kToolVersion;
    settings_.command = words_.command;
    settings_.dtype = words_.compute.dtype;
    settings_.threads = words_.compute.load_options().threads;
    loaded_ = load_model(model_, words_.compute, {&plan_}, tokens, terminal_, settings_);
  }

  // Traces in folders of their own below `folder`, with the model's parameters there.
  std::vector<Trace> record(const fs::path& folder) {
    std::vector<fs::path> files;
    for (std::size_t d = 0; d < texts_.size(); ++d) {
      files.push_back(folder / (texts_.size() > 1 ? std::to_string(d) : kRunNow) / kTraceFile);
      fs::create_directories(files.back().parent_path());
      TokenProgress tokens(terminal_, tokens_to_run(texts_[d]));
      record_trace(files.back(), model_, plan_, *loaded_, texts_[d], settings_, tokens);
    }
    write_model_parameters(folder / kModelFile, model_);
    std::vector<Trace> traces;
    for (const fs::path& file : files) { traces.push_back(open_trace(file)); }
    return traces;
  }

 private:
  RecordingWords& words_;
  Terminal& terminal_;
  Model model_;
  RunPlan plan_;
  TraceSettings settings_;
  std::vector<TokenizedText> texts_;
  std::unique_ptr<EngineModel> loaded_;  // after model_, which it refers to
};

// Results of a corpus compare with one another.
void require_one_kind(const std::vector<ComparedRun>& runs) {
  const auto kind = [](const ComparedRun& run) {
    return is_of_corpus(run) ? "the result of a corpus" : "traces or models, and texts";
  };
  for (const ComparedRun& run : runs) {
    require(is_of_corpus(run) == is_of_corpus(runs[0]), ExitCode::usage, {.file = run.path},
            "expected ", kind(runs[0]), ", as ", printable(runs[0].path), ", found ",
            is_of_corpus(run) ? "the result of a corpus" : "another");
  }
}

void require_same_corpus(const Trace& first, const Trace& other) {
  if (!first.corpus) { return; }
  require(first.corpus->documents == other.corpus->documents &&
              first.corpus->bytes == other.corpus->bytes,
          ExitCode::usage, {.file = other.path.native()}, "expected the documents of ",
          printable(first.path.native()), " (", first.corpus->documents, ", ", first.corpus->bytes,
          " bytes), found ", other.corpus->documents, " (", other.corpus->bytes, " bytes)");
}

// A statistic of some tokens does not compare with one of all.
void require_same_tokens_counted(const Trace& first, const Trace& other) {
  const auto counted = [](const Trace& trace) {
    return trace.only_assistant ? "of the assistant's tokens alone" : "of all tokens";
  };
  require(first.only_assistant == other.only_assistant, ExitCode::usage,
          {.file = other.path.native()}, "statistics; expected ", counted(first), ", as in ",
          printable(first.path.native()), ", found ", counted(other),
          "; record both with --only assistant, or neither");
}

void join_texts(ComparedRun& run, const fs::path& folder) {
  if (run.texts.size() < 2) { return; }
  std::vector<const Trace*> texts;
  for (const Trace& text : run.texts) { texts.push_back(&text); }
  fs::create_directories(folder);
  write_joined_trace(folder / kTraceFile, texts, join_words(texts.size(), " texts"));
  run.joined = open_trace(folder / kTraceFile);
  if (run.joined->model == nullptr) {  // beside the traces it was given as
    run.joined->model = run.texts[0].model;
    run.joined->kappa_in_force = std::make_shared<KappaInForce>(*run.joined);
  }
}

}  // namespace

std::vector<fs::path> trace_files(const std::string& path) {
  const fs::path at(path);
  if (!is_folder(at)) {
    return at.extension() == ".npz" ? std::vector<fs::path>{at} : std::vector<fs::path>{};
  }
  if (is_there(at / kTraceFile)) { return {at / kTraceFile}; }
  if (is_there(at / kStatsFile)) { return {at / kStatsFile}; }
  return is_there(at / kIndexFile) ? traces_below(at) : std::vector<fs::path>{};
}

bool is_of_corpus(const ComparedRun& run) {
  if (run.step) { return false; }
  const std::vector<fs::path> files = trace_files(run.path);
  return !files.empty() && is_corpus_result(NpzReader(files[0]));
}

void open_runs(std::vector<ComparedRun>& runs, RecordingWords& words, OutputFolder& folder,
               Terminal& terminal) {
  require_one_kind(runs);
  std::vector<TextItem> items;
  bool first = true;
  for (std::size_t r = 0; r < runs.size(); ++r) {
    ComparedRun& run = runs[r];
    const fs::path place = folder.staged("runs") / std::to_string(r);
    const std::vector<fs::path> files = run.step ? std::vector<fs::path>{} : trace_files(run.path);
    for (const fs::path& file : files) { run.texts.push_back(open_trace(file)); }
    if (files.empty()) {
      if (items.empty()) { items = words.text.list(terminal); }
      Recording recording(run, words, terminal);
      recording.read_texts(items, first);
      recording.load();
      run.texts = recording.record(place);
      first = false;
    }
    for (const Trace& trace : run.texts) {
      require_same_corpus(runs[0].texts.front(), trace);
      require_same_tokens_counted(runs[0].texts.front(), trace);
      if (!trace.model_problem.empty()) { terminal.warn(trace.model_problem); }
    }
    if (r > 0 && !runs[0].texts.front().corpus) { put_in_order(run, runs[0]); }
    join_texts(run, files.empty() ? place / kRunNow : place / fs::path(run.path).filename());
  }
}

}  // namespace kappascope
