// `kappascope compare`: the same texts on several models, or traces of them, side by side.
#include <algorithm>
#include <charconv>
#include <utility>

#include "app/cli/command_line.h"
#include "app/cli/compare_report.h"
#include "app/cli/compare_weights.h"
#include "app/cli/compared_result.h"
#include "app/cli/compared_runs.h"
#include "app/cli/figure_options.h"
#include "app/cli/interrupts.h"
#include "app/cli/output_folder.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "core/trace/output_file.h"

namespace kappascope {
namespace {

constexpr const char* kCompareExamples = R"(
Examples:
  kappascope compare assets/d8-kappa assets/d4-kappa -p "Once upon a time" -o out
  kappascope compare assets/d8-kappa assets/d4-kappa -f assets/texts -o out
  kappascope compare on/trace.npz off/trace.npz -o out
  kappascope compare on/stats.npz off/stats.npz -o out
  kappascope compare MODEL --step all -f corpus.txt -o steps
  kappascope compare A1 A2 A3 --against B1 B2 B3 -f texts -o out
  kappascope compare --weights A B -o out

The first run is what the others are compared with; with --against the first side is compared with
the second.)";

constexpr const char* kCompareFile = "compare.json";
constexpr const char* kValuesFile = "compare.csv";
constexpr const char* kDifferencesFile = "compare-differences.csv";

class Compare {
 public:
  int run(const Arguments& arguments) {
    words_.command = arguments.command;
    if (!parse(arguments.words)) { return int(ExitCode::ok); }
    Interrupts interrupts;
    Terminal terminal(talk_.talk(), interrupts);
    OutputFolder folder(output_, force_, interrupts);
    if (weights_) {
      return compare_weights(runs_, words_.reading, {json_, talk_.quiet}, folder, terminal);
    }
    folder.check_places({}, {kCompareFile});
    open_runs(runs_, words_, folder, terminal);
    const ComparedResult result = compared(runs_, seed_, terminal);
    const std::vector<std::string> files = write(result, folder, terminal);
    for (const ComparedRun& one : runs_) {
      for (const Trace& trace : one.texts) { require_unchanged(trace); }
    }
    folder.publish({}, files);
    terminal.erase();
    print(json_ ? json_text(comparison_json(result)) : talk_.quiet ? "" : comparison_text(result));
    return int(ExitCode::ok);
  }

 private:
  bool parse(const std::vector<std::string>& words) {
    CLI::App app("Run the same texts on several models, or take traces, and compare them",
                 "kappascope compare");
    app.footer(kCompareExamples);
    std::vector<std::string> paths, against;
    std::string steps;
    app.add_option("RUN", paths, "model folders, trace.npz or stats.npz files, or their folders");
    app.add_option("--against", against, "the second side: the same number of seeds, or any")
        ->take_all();
    app.add_flag("--weights", weights_, "compare the weights of two checkpoints, without a text");
    app.add_option("--step", steps, "steps of each model folder: all, or 1000,2000; the newest");
    words_.text.add_to(app);
    app.add_flag("--window", words_.window,
                 "run a text longer than sequence_len in overlapping chunks");
    app.add_option("-o,--output", output_, "folder to write to")->required();
    app.add_flag("--json", json_, "print JSON instead of the tables");
    app.add_option("--seed", seed_, "of the resamples of the intervals")
        ->check(at_least_zero())
        ->capture_default_str();
    figures_.ids = "";
    figures_.add_to(app);
    words_.reading.add_to(app);
    words_.compute.add_to(app);
    app.add_flag("--force", force_, "replace files that kappascope has not written");
    talk_.add_to(app);
    if (!parse_words(app, words)) { return false; }
    name_runs(paths, against, steps);
    check_words();
    return true;
  }

  void name_runs(const std::vector<std::string>& paths, const std::vector<std::string>& against,
                 const std::string& steps) {
    for (const std::vector<std::string>* side : {&paths, &against}) {
      for (const std::string& path : *side) {
        for (const std::optional<std::int64_t> step : steps_of(path, steps)) {
          runs_.push_back({.path = path, .step = step, .against = side == &against});
        }
      }
    }
    require(paths.empty() == runs_.empty(), ExitCode::usage, {},
            "--against: expected runs before it, too");
    require(runs_.size() >= 2, ExitCode::usage, {}, "compare: expected two runs or more, found ",
            runs_.size(), runs_.size() == 1 && !steps.empty() ? " step" : "");
    series_ = !steps.empty() && paths.size() == 1 && against.empty();
  }

  // Nothing: what is there without a choice.
  static std::vector<std::optional<std::int64_t>> steps_of(const std::string& path,
                                                           const std::string& steps) {
    if (steps.empty()) { return {std::nullopt}; }
    std::vector<std::optional<std::int64_t>> list;
    if (steps == "all") {
      for (const std::int64_t step : find_checkpoint(path).steps) { list.emplace_back(step); }
      require(!list.empty(), ExitCode::usage, {.file = path}, "--step all: no folder of steps");
      return list;
    }
    for (std::size_t first = 0; first <= steps.size();) {
      const std::size_t end = std::min(steps.find(',', first), steps.size());
      std::int64_t step = -1;
      const char* last = steps.data() + end;
      const auto [rest, error] = std::from_chars(steps.data() + first, last, step);
      require(error == std::errc() && rest == last && step >= 0, ExitCode::usage, {},
              "--step: expected all or a list like 1000,2000; found '", steps, "'");
      list.emplace_back(step);
      first = end + 1;
    }
    return list;
  }

  void check_words() {
    const bool models = std::any_of(runs_.begin(), runs_.end(), [](const ComparedRun& run) {
      return run.step || trace_files(run.path).empty();
    });
    const bool texts = words_.text.prompt || !words_.text.files.empty() ||
                       !words_.text.list_file.empty() || !words_.text.ids_files.empty();
    require(!weights_ || runs_.size() == 2, ExitCode::usage, {},
            "--weights compares two checkpoints; found ", runs_.size());
    require(!weights_ || !texts, ExitCode::usage, {}, "--weights needs no text");
    if (weights_) { return check_no_figures(); }
    require(models || !texts, ExitCode::usage, {},
            "traces are of their own texts: -p, -f and --ids are for models");
    if (models) { words_.text.check(); }
    words_.compute.check_device();
    const bool several = words_.text.names_several() ||
                         std::any_of(runs_.begin(), runs_.end(), [](const ComparedRun& run) {
                           return !run.step && trace_files(run.path).size() > 1;
                         });
    differences_ = figures_.ids.empty() || figures_.ids == "all";
    const bool corpora = std::any_of(runs_.begin(), runs_.end(), is_of_corpus);
    if (figures_.ids.empty()) {
      figures_.ids = several || corpora ? "kappa-depth,statistics-depth"
                                        : "loss,kappa-depth,statistics-depth,routing-change";
      if (series_) { figures_.ids += ",step-series"; }
    }
    figures_.check();
  }

  // Nothing is run and nothing drawn with --weights.
  void check_no_figures() const {
    const bool figures = !figures_.ids.empty() || figures_.formats != FigureOptions().formats ||
                         !figures_.tokens.empty() || !figures_.style_file.empty() ||
                         !figures_.given_settings().empty();
    require(!figures, ExitCode::usage, {}, "--weights draws no figures");
    require(!words_.window, ExitCode::usage, {}, "--window is for texts, and --weights needs none");
  }

  std::vector<std::string> write(const ComparedResult& result, OutputFolder& folder,
                                 Terminal& terminal) {
    std::vector<std::string> files = {kCompareFile, kValuesFile, kDifferencesFile};
    write_file(folder.staged(kCompareFile), json_text(comparison_json(result)));
    write_csv(value_table(result), folder.staged(kValuesFile));
    write_csv(difference_table(result), folder.staged(kDifferencesFile));
    if (figures_.ids != "none") {
      std::filesystem::create_directory(folder.staged(kFiguresFolder));
      for (const std::string& name : write_pictures(result, folder, terminal)) {
        files.push_back(join_words(kFiguresFolder, "/", name));
      }
    }
    folder.check_places({}, files);
    return files;
  }

  std::vector<std::string> write_pictures(const ComparedResult& result, OutputFolder& folder,
                                          Terminal& terminal) {
    std::vector<const Trace*> traces;
    for (const ComparedRun& run : runs_) { traces.push_back(&run.whole()); }
    const std::filesystem::path place = folder.staged(kFiguresFolder);
    FigureOptions named = figures_;
    named.choices.runs = result.names;  // as the report calls them
    const FigureHooks hooks{.say = [&](const std::string& line) { terminal.warn_once(line); },
                            .refuse = false};
    std::vector<std::string> names = write_figures(named, traces, place, terminal, hooks);
    if (!differences_) { return names; }
    for_each_map_difference(result, terminal, [&](Figure& figure) {
      for (const std::string& name : write_figure_files(figures_, figure, place)) {
        names.push_back(name);
      }
    });
    return names;
  }

  std::vector<ComparedRun> runs_;
  RecordingWords words_;
  FigureOptions figures_;
  TalkOptions talk_;
  std::string output_;
  std::uint64_t seed_ = 0;
  bool weights_ = false, json_ = false, force_ = false;
  bool differences_ = true;  // figures of what changes in maps, too
  bool series_ = false;      // the steps of one folder
};

}  // namespace

int compare_verb(const Arguments& arguments) {
  return Compare().run(arguments);
}

}  // namespace kappascope
