// `kappascope plot`: figures of traces and of training runs, without model or Torch.
#include "app/cli/batch_index.h"
#include "app/cli/command_line.h"
#include "app/cli/figure_options.h"
#include "app/cli/interrupts.h"
#include "app/cli/output_folder.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "core/trace/stats_file.h"
#include "core/trace/trace.h"

namespace kappascope {
namespace {

constexpr const char* kPlotExamples = R"(
Examples:
  kappascope plot out/trace.npz -o figures
  kappascope plot out/trace.npz --figures kappa-tokens --figure-format pdf --width 85 -o figures
  kappascope plot a/trace.npz b/trace.npz --figures loss,kappa-depth -o figures
  kappascope plot out/trace.npz --figures kappa-depth --preset nature --bare --label d8-kappa=ours -o figures
  kappascope plot a/trace.npz b/trace.npz --figures kappa-tokens --panels -o figures
  kappascope plot out/trace.npz --figures kappa-vs-score --layer 5 --expert 3 -o figures
  kappascope plot pair --figures train-loss,train-kappa --figure-format svg,csv -o figures)";

// " *" and the like: what a figure makes of several traces.
const char* mark_of(Several several) {
  switch (several) {
    case Several::one_each:
      return "";
    case Several::overlay:
    case Several::small_multiples:
      return " *";
    case Several::difference:
      return " −";
  }
  fail(ExitCode::internal, {}, "a figure of no kind");
}

constexpr std::int64_t kIdWidth = 27;  // of the longest id, its mark and what parts them

// "ID  what it shows", one a line.
std::string list_of_figures() {
  std::string text =
      "\nFigures (* shows all traces in one file, − what each changes from the first; of the "
      "others each trace makes a file, or a panel with --panels):\n";
  for (const FigureEntry& entry : figure_catalogue()) {
    const std::string id = join_words("  ", entry.id, mark_of(entry.several));
    const std::int64_t rest = std::max<std::int64_t>(2, kIdWidth - display_width(id));
    text += join_words(id, std::string(std::size_t(rest), ' '), entry.what, "\n");
  }
  text += "\nOf training runs (all in one file):\n";
  for (const TrainingFigure& entry : training_figures()) {
    const std::string id = join_words("  ", entry.id);
    const std::int64_t rest = kIdWidth - display_width(id);
    text += join_words(id, std::string(std::size_t(rest), ' '), entry.what, "\n");
  }
  return text;
}

// A folder that a run wrote stands for the trace in it.
std::filesystem::path trace_file(const std::string& path) {
  std::error_code unreadable;
  const bool folder = std::filesystem::is_directory(path, unreadable);
  const std::filesystem::path at(path);
  require(!folder || std::filesystem::exists(at / kTraceFile, unreadable) ||
              !std::filesystem::exists(at / kIndexFile, unreadable),
          ExitCode::io, {.file = path},
          "the results of several texts; name the folders of those to plot, which ", kIndexFile,
          " lists");
  if (!folder) { return at; }
  const bool corpus = !std::filesystem::exists(at / kTraceFile, unreadable) &&
                      std::filesystem::exists(at / kStatsFile, unreadable);
  return at / (corpus ? kStatsFile : kTraceFile);
}

// Logs of training runs that the paths stand for; empty: they are traces.
std::vector<std::filesystem::path> logs_of(const std::vector<std::string>& paths) {
  std::vector<std::filesystem::path> logs;
  std::string trace, run;  // one of each kind
  for (const std::string& path : paths) {
    std::error_code unreadable;
    const bool recorded =
        std::filesystem::exists(std::filesystem::path(path) / kTraceFile, unreadable);
    const auto found = recorded ? std::vector<std::filesystem::path>() : training_logs(path);
    (found.empty() ? trace : run) = path;
    logs.insert(logs.end(), found.begin(), found.end());
  }
  require(trace.empty() || run.empty(), ExitCode::usage, {}, trace, " is a trace and ", run,
          " a training run; their figures are drawn by a command each");
  return logs;
}

class Plot {
 public:
  int run(const Arguments& arguments) {
    CLI::App app("Figures of traces and training runs as files, without model or Torch",
                 "kappascope plot");
    app.footer(kPlotExamples + std::string("\n") + list_of_figures());
    std::vector<std::string> paths;
    bool force = false;
    app.add_option(
           "PATH", paths,
           "trace.npz files, or the folders of runs; or train.jsonl, or folders of training runs")
        ->required();
    options_.add_to(app);
    options_.add_choices_to(app);
    app.add_option("-o,--output", output_, "folder to write to")->required();
    app.add_flag("--force", force, "replace files that kappascope has not written");
    talk_.add_to(app);
    if (!parse_words(app, arguments.words)) { return int(ExitCode::ok); }
    const std::vector<std::filesystem::path> logs = logs_of(paths);
    options_.of_training = !logs.empty();
    options_.check();
    require(options_.ids != "none", ExitCode::usage, {}, "--figures none leaves nothing to plot");
    for (const auto& log : logs) { runs_.push_back(read_training_log(log)); }
    for (std::size_t i = 0; i < paths.size() && logs.empty(); ++i) {
      traces_.push_back(open_trace(trace_file(paths[i])));
    }
    write(force);
    return int(ExitCode::ok);
  }

 private:
  void write(bool force) {
    Interrupts interrupts;
    Terminal terminal(talk_.talk(), interrupts);
    OutputFolder folder(output_, force, interrupts);
    for (const Trace& trace : traces_) {
      if (!trace.model_problem.empty()) { terminal.warn(trace.model_problem); }
    }
    std::vector<std::string> said;
    const FigureHooks hooks{.say = [&](const std::string& line) { said.push_back(line); }};
    const std::vector<std::string> names = draw(folder.staged(""), terminal, hooks);
    for (const Trace& trace : traces_) { require_unchanged(trace); }
    folder.check_places({}, names);
    terminal.erase();
    folder.publish({}, names);
    for (const std::string& line : said) { terminal.warn(line); }
    if (talk_.quiet) { return; }
    for (const std::string& name : names) { print((folder.path() / name).string() + "\n"); }
  }

  std::vector<std::string> draw(const std::filesystem::path& folder, Progress& progress,
                                const FigureHooks& hooks) const {
    if (options_.of_training) {
      std::vector<const LoggedRun*> runs;
      for (const LoggedRun& run : runs_) { runs.push_back(&run); }
      return write_training_figures(options_, runs, folder, progress, hooks);
    }
    std::vector<const Trace*> traces;
    for (const Trace& trace : traces_) { traces.push_back(&trace); }
    return write_figures(options_, traces, folder, progress, hooks);
  }

  std::string output_;
  FigureOptions options_;
  TalkOptions talk_;
  std::vector<Trace> traces_;
  std::vector<LoggedRun> runs_;
};

}  // namespace

int plot_verb(const Arguments& arguments) {
  return Plot().run(arguments);
}

}  // namespace kappascope
