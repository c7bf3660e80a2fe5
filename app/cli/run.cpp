// `kappascope run`: texts through a model into traces, tables and a summary.
#include <algorithm>
#include <cmath>
#include <memory>

#include "app/cli/command_line.h"
#include "app/cli/figure_options.h"
#include "app/cli/interrupts.h"
#include "app/cli/layer_table.h"
#include "app/cli/output_folder.h"
#include "app/cli/terminal.h"
#include "app/cli/texts.h"
#include "app/cli/verbs.h"
#include "app/run_text.h"
#include "core/stats/summary.h"
#include "core/trace/output_file.h"
#include "core/trace/tables.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

constexpr const char* kExamples = R"(
Examples:
  kappascope run assets/d8-kappa -p "Once upon a time"
  kappascope run assets/d8-kappa -f assets/texts/prose.txt -o out
  kappascope run MODEL -f a.txt -f b.txt -o out --format npz,json
  kappascope run MODEL --ids ids.json -o out --record gates --layers 3-5
  kappascope run MODEL -f book.txt -o out --window --kappa off)";

constexpr std::size_t kLongestStem = 200;  // bytes; names of files end at 255
constexpr const char* kFiguresFolder = "figures";

struct RunOptions {
  std::string model, output, layers, record = "summary", kappa = "on", format = "npz,csv,json";
  std::optional<std::int64_t> step;
  TextOptions text;
  ComputeOptions compute;
  FigureOptions figures;
  bool logits = false, no_capacity = false, window = false, json = false;
  TalkOptions talk;
  bool force = false, strict = false;

  std::vector<std::string> formats;  // of `format`

  void add_to(CLI::App& app);
  void check();
  bool writes(std::string_view kind) const {
    return std::find(formats.begin(), formats.end(), kind) != formats.end();
  }
  // Files of one text, as asked for.
  std::vector<std::string> file_names() const;
  TraceSettings trace_settings(const Model& of, const std::string& command) const;
};

void RunOptions::add_to(CLI::App& app) {
  app.add_option("MODEL", model, "model folder or model_NNNNNN.pt")->required();
  text.add_to(app);
  app.add_flag("--window", window, "run a text longer than sequence_len in overlapping chunks");
  app.add_option("-o,--output", output, "folder to write to; without it only the table is printed");
  app.add_option("--format", format, "files to write")->capture_default_str();
  figures.add_to(app);
  app.add_option("--record", record, "summary, or gates: every gate unit too")
      ->check(CLI::IsMember({"summary", "gates"}))
      ->capture_default_str();
  app.add_flag("--logits", logits, "record the output logits [T,V]");
  app.add_option("--layers", layers, "record only these layers, e.g. 0-3,7")
      ->check([](const std::string& list) { return list.empty() ? "expected layers" : ""; });
  app.add_option("--kappa", kappa, "off: every gate runs with κ = 1")
      ->check(CLI::IsMember({"on", "off"}))
      ->capture_default_str();
  app.add_flag("--no-capacity", no_capacity, "no expert drops tokens");
  app.add_option("--step", step, "training step; the newest unless given")
      ->check(CLI::NonNegativeNumber);
  compute.add_to(app);
  app.add_flag("--json", json, "print the summary as JSON instead of the table");
  app.add_flag("--force", force, "replace files that kappascope has not written");
  app.add_flag("--strict", strict, "refuse NaN and infinite weights");
  talk.add_to(app);
}

void RunOptions::check() {
  text.check();
  figures.check();
  formats = parse_list("--format", format, {"npz", "csv", "json"});
  require(!output.empty() || (record == "summary" && !logits), ExitCode::usage, {},
          "--record gates and --logits write to a folder: give one with -o DIR");
  require(output.empty() || writes("npz") || (record == "summary" && !logits), ExitCode::usage, {},
          "--record gates and --logits are kept in trace.npz: --format must name npz");
  require(text.files.size() <= 999, ExitCode::usage, {}, "-f: expected at most 999 files, found ",
          text.files.size());
  compute.check_device();
}

std::vector<std::string> RunOptions::file_names() const {
  std::vector<std::string> names;
  if (writes("npz")) names.push_back("trace.npz");
  if (writes("csv")) names.insert(names.end(), {"tokens.csv", "routing.csv"});
  if (writes("json")) names.push_back("summary.json");
  return names;
}

TraceSettings RunOptions::trace_settings(const Model& of, const std::string& command) const {
  TraceSettings settings;
  settings.kappa = kappa == "on";
  settings.capacity = !no_capacity;
  settings.record_gates = record == "gates";
  settings.record_logits = logits;
  const std::string all = join_words("0-", of.config.n_layer - 1);
  settings.layers = parse_layers(layers.empty() ? all : layers, of.config.n_layer);
  settings.command = command;
  settings.tool_version = kToolVersion;
  settings.dtype = compute.dtype;
  settings.threads = compute.load_options().threads;
  return settings;
}

// One text of the command line, read and cut up, or what kept it from being so.
struct Job {
  std::string source;
  std::string subfolder;  // of the output folder; "" when there is one text
  TokenizedText text;
  Failure failure;
};

// NNN-STEM; what a terminal or a file system would not take becomes "_".
std::string subfolder_name(std::size_t index, const std::string& file) {
  std::string stem = file == "-" ? "stdin" : std::filesystem::path(file).stem().string();
  const bool utf8 = is_utf8(stem);
  for (char& c : stem) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8)) c = '_';
  }
  while (stem.size() > kLongestStem || !is_utf8(stem)) stem.pop_back();
  const std::string number = std::to_string(index + 1);  // 1 to 999
  return std::string(3 - number.size(), '0') + number + "-" + stem;
}

double mean_nll(const Json& summary) {
  const Json& mean = summary.at("nll_mean");
  return mean.is_number() ? mean.get<double>() : std::nan("");
}

class Run {
 public:
  Run(RunOptions options, const std::string& command)
      : options_(std::move(options)),
        terminal_(options_.talk.talk(), interrupts_),
        model_(open_model(options_.model, options_.step)),
        settings_(options_.trace_settings(model_, command)) {}

  int run() {
    require(model_.config.moe_layers().empty() || model_.config.n_exp <= kMostRecordedExperts,
            ExitCode::unsupported, {.file = model_.files.meta.native()},
            "model_config.n_exp: expected ", "at most ", kMostRecordedExperts,
            " experts in a trace, found ", model_.config.n_exp);
    say_unknown(model_, terminal_);
    prepare_jobs();
    OutputFolder folder(options_.output, options_.force, interrupts_);
    for (Job& job : jobs_)
      attempt(job, [&] { folder.check_places(job.subfolder, options_.file_names()); });
    if (options_.writes("npz")) folder.check_places({}, {kModelFile});
    if (std::all_of(jobs_.begin(), jobs_.end(), [](const Job& job) { return bool(job.failure); }))
      return finish();
    load();
    for (Job& job : jobs_) attempt(job, [&] { run_job(job, folder); });
    return finish();
  }

 private:
  bool batch() const { return jobs_.size() > 1; }

  // Work on one text of several: its failure is kept and said, the others go on. Where going on
  // makes no sense, or there is one text only, the error goes up.
  template <typename Work>
  void attempt(Job& job, Work&& work) {
    if (job.failure) return;
    try {
      interrupts_.check();
      work();
    } catch (const Error& error) {
      if (!batch() || error.code() == ExitCode::interrupted) throw;
      job.failure = error.failure();
      terminal_.error(error.what());
    }
  }

  void prepare_jobs() {
    const TextOptions& words = options_.text;
    if (!words.files.empty()) {
      const bool several = words.files.size() > 1;
      for (std::size_t i = 0; i < words.files.size(); ++i)
        jobs_.push_back({words.files[i], several ? subfolder_name(i, words.files[i]) : "", {}, {}});
    } else {
      jobs_.push_back({words.prompt ? "prompt" : words.ids_file, "", {}, {}});
    }
    const std::optional<Tokenizer> tokenizer = words.open_tokenizer(model_);
    for (Job& job : jobs_) attempt(job, [&] { prepare(job, tokenizer); });
  }

  void prepare(Job& job, const std::optional<Tokenizer>& tokenizer) {
    job.text = options_.text.read(job.source, tokenizer ? &*tokenizer : nullptr, model_);
    job.text.document.index = &job - jobs_.data();
    cut_into_chunks(job.text, model_.config.sequence_len, options_.window, job.source);
  }

  void load() {
    LoadOptions load = options_.compute.load_options();
    std::string note;
    loaded_ = options_.compute.automatic() ? load_weights_somewhere(model_, load, terminal_, note)
                                           : load_weights(model_, load, terminal_);
    terminal_.erase();
    if (!note.empty()) terminal_.warn(note);
    settings_.device = options_.compute.name_of(load);
    const std::string nonfinite = nonfinite_weights(model_, *loaded_);
    if (options_.strict && !nonfinite.empty()) throw Error(ExitCode::damaged, nonfinite);
    if (!nonfinite.empty()) terminal_.warn(nonfinite);
    if (*loaded_->description()) terminal_.debug(loaded_->description());
    settings_.torch_version = engine(load.device).torch_version();
    terminal_.debug(join_words("Torch ", settings_.torch_version, ", ", load.threads, " threads"));
    std::uint64_t tokens = 0;
    for (const Job& job : jobs_) tokens += tokens_to_run(job.text);
    progress_.emplace(terminal_, tokens);
  }

  void run_job(const Job& job, OutputFolder& folder) {
    folder.clear();
    const std::filesystem::path trace_path = folder.staged("trace.npz");
    const std::filesystem::path model_path = folder.staged(kModelFile);
    record_trace(trace_path, model_, *loaded_, job.text, settings_, *progress_);
    terminal_.update("write", 0, 1);
    if (options_.force && !std::filesystem::exists(model_path))
      write_model_parameters(model_path, model_);
    Trace trace = open_trace(trace_path);
    if (!trace.model) {  // none in the output folder, or that of another model
      write_model_parameters(model_path, model_);
      trace = open_trace(trace_path);
    }
    const std::vector<LayerSummary> layers = summarise(trace);
    const Json summary = summary_json(trace, layers);
    write_tables(folder, trace, summary);
    std::vector<std::string> files = options_.file_names();
    if (options_.writes("npz") && std::filesystem::exists(model_path))
      files.insert(files.begin(), kModelFile);
    const std::vector<std::string> pictures = write_pictures(folder, trace);
    folder.check_places(job.subfolder, pictures);
    files.insert(files.end(), pictures.begin(), pictures.end());
    terminal_.erase();
    folder.publish(job.subfolder, files);
    warn_of_older_files(folder, job.subfolder, files);
    warn_of(job, trace, layers);
    report(job, trace, layers, summary);
  }

  void write_tables(const OutputFolder& folder, const Trace& trace, const Json& summary) {
    if (folder.temporary()) return;
    if (options_.writes("csv")) {
      write_tokens_csv(folder.staged("tokens.csv"), trace);
      write_routing_csv(folder.staged("routing.csv"), trace);
    }
    if (options_.writes("json")) {
      OutputFile file(folder.staged("summary.json"));
      const std::string text = json_text(summary);
      file.write_at(0, std::as_bytes(std::span(text)));
      file.finish();
    }
  }

  std::vector<std::string> write_pictures(const OutputFolder& folder, const Trace& trace) {
    std::vector<std::string> names;
    if (folder.temporary() || options_.figures.ids == "none") return names;
    const std::filesystem::path place = folder.staged(kFiguresFolder);
    std::filesystem::create_directory(place);
    const Trace* const traces[] = {&trace};
    for (const std::string& name :
         write_figures(options_.figures, traces, place, terminal_))
      names.push_back(join_words(kFiguresFolder, "/", name));
    return names;
  }

  // What another run left beside the files of this one tells of another text.
  void warn_of_older_files(const OutputFolder& folder, const std::string& subfolder,
                           const std::vector<std::string>& files) {
    if (folder.temporary()) return;
    std::string older;
    for (const char* name : {"trace.npz", "tokens.csv", "routing.csv", "summary.json"}) {
      const bool written = std::find(files.begin(), files.end(), name) != files.end();
      if (!written && std::filesystem::exists(folder.path() / subfolder / name))
        older += join_words(older.empty() ? "" : ", ", name);
    }
    if (!older.empty())
      terminal_.warn(
          describe({.file = folder.path().native()}, older + " there: of an earlier run"));
  }

  void warn_of(const Job& job, const Trace& trace, const std::vector<LayerSummary>& layers) {
    std::int64_t ties = 0, spoilt = 0;
    for (const LayerSummary& layer : layers) {
      ties += layer.near_ties;
      spoilt += layer.nonfinite_tokens;
    }
    const std::string all = join_words(" of ", trace.tokens * trace.layers, " (token, layer) ");
    if (ties > 0)
      terminal_.warn(describe({.file = job.source},
                              join_words(ties, all, "choices of experts are near ties (margin < ",
                                         "1e-3): another precision may route them otherwise")));
    if (spoilt > 0)
      terminal_.warn(describe({.file = job.source},
                              join_words(spoilt, all, "rows are spoilt by NaN or infinite weights ",
                                         "and left out of the statistics")));
  }

  void report(const Job& job, const Trace& trace, const std::vector<LayerSummary>& layers,
              const Json& summary) {
    if (options_.json) {
      if (batch())
        summaries_[job.subfolder] = summary;
      else
        summaries_ = summary;
    } else if (!options_.talk.quiet) {
      const std::string title = batch() ? job.subfolder + "\n" : "";
      print(title + layer_table(trace, layers, mean_nll(summary)));
    }
  }

  int finish() {
    terminal_.erase();
    if (!summaries_.is_null()) print(json_text(summaries_));
    const bool failed =
        std::any_of(jobs_.begin(), jobs_.end(), [](const Job& job) { return bool(job.failure); });
    return int(failed ? ExitCode::some_failed : ExitCode::ok);
  }

  RunOptions options_;
  Interrupts interrupts_;  // before all that takes long or starts threads
  Terminal terminal_;
  Model model_;
  TraceSettings settings_;
  std::vector<Job> jobs_;
  std::unique_ptr<EngineModel> loaded_;    // after model_, which it refers to
  std::optional<TokenProgress> progress_;  // over the tokens of all texts
  Json summaries_;
};

}  // namespace

int run_verb(const Arguments& arguments) {
  CLI::App app("Run texts through a model; record routing, gates and κ", "kappascope run");
  app.footer(kExamples);
  RunOptions options;
  options.add_to(app);
  if (!parse_words(app, arguments.words)) return int(ExitCode::ok);
  options.check();
  return Run(std::move(options), arguments.command).run();
}

}  // namespace kappascope
