// `kappascope report`: one HTML page of a trace, of several beside each other, or of a sweep.
#include <algorithm>
#include <utility>

#include "app/cli/ablation.h"
#include "app/cli/command_line.h"
#include "app/cli/compared_result.h"
#include "app/cli/compared_runs.h"
#include "app/cli/figure_options.h"
#include "app/cli/interrupts.h"
#include "app/cli/output_folder.h"
#include "app/cli/report_comparison.h"
#include "app/cli/report_figures.h"
#include "app/cli/report_glossary.h"
#include "app/cli/report_parts.h"
#include "app/cli/report_sweep.h"
#include "app/cli/sweep_log.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "core/checkpoint/folder.h"
#include "core/figure/caption.h"
#include "core/report/page.h"
#include "core/trace/output_file.h"

namespace kappascope {
namespace {

constexpr const char* kReportExamples = R"(
Examples:
  kappascope report out -o report.html
  kappascope report on/trace.npz off/trace.npz -o comparison.html
  kappascope report sweep -o sweep.html --figures expert-importance,expert-load
  kappascope report out -o report.html --title "Appendix B: κ by layer" --layer 5

PATH: trace.npz or the folder of a run, of a batch (its texts together), or of `kappascope ablate`.
Several are compared as `kappascope compare` does, and have to be of the same texts.)";

class Report {
 public:
  int run(const Arguments& arguments) {
    if (!parse(arguments.words)) { return int(ExitCode::ok); }
    check_paths();
    check_figures();
    const std::filesystem::path file(output_);
    const std::string name = file.filename().string();
    Interrupts interrupts;
    Terminal terminal(talk_.talk(), interrupts);
    OutputFolder folder(file.has_parent_path() ? file.parent_path() : ".", force_, interrupts);
    folder.check_places({}, {name});
    RecordingWords words;  // of models: all of these are traces
    open_runs(runs_, words, folder, terminal);
    write_file(folder.staged(name), to_html(document(terminal)));
    for (const ComparedRun& one : runs_) {
      for (const Trace& trace : one.texts) { require_unchanged(trace); }
    }
    terminal.erase();
    folder.publish({}, {name});
    for (const std::string& line : said_) { terminal.warn(line); }
    if (!talk_.quiet) { print(file.string() + "\n"); }
    return int(ExitCode::ok);
  }

 private:
  bool parse(const std::vector<std::string>& words) {
    CLI::App app(
        "One HTML page of a trace, of several compared, or of a sweep: figures, tables and "
        "definitions in one file",
        "kappascope report");
    app.footer(kReportExamples);
    std::vector<std::string> paths;
    app.add_option("PATH", paths, "trace.npz files, or the folders of runs or of a sweep")
        ->required();
    figures_.ids = "";
    // Pictures are SVG on a ground of their own; their titles and captions are the page's.
    figures_.add_to(app, {"figure-format", "title", "bare", "transparent", "dpi", "no-metadata"});
    app.get_option("--figures")
        ->description(
            "all, none, or ids of figures: loss,kappa-depth; of several traces those that "
            "show them together unless given");
    figures_.add_choices_to(app);
    app.add_option("--title", title_, "of the page; what it is of unless given");
    app.add_flag("--no-metadata", no_metadata_,
                 "leave out the text's source, hashes, the command line and versions");
    app.add_option("-o,--output", output_, "file to write: report.html")->required();
    app.add_flag("--force", force_, "replace a file that kappascope has not written");
    talk_.add_to(app);
    if (!parse_words(app, words)) { return false; }
    for (const std::string& path : paths) { runs_.push_back({.path = path}); }
    return true;
  }

  void check_paths() {
    const std::string ending = std::filesystem::path(output_).extension().string();
    require(ending == ".html" || ending == ".htm", ExitCode::usage, {},
            "-o: expected the name of a page, which ends in .html, found '", output_, "'");
    for (const ComparedRun& run : runs_) {
      const std::filesystem::path path(run.path);
      std::error_code unreadable;
      require(std::filesystem::exists(path, unreadable), ExitCode::io, {.file = run.path},
              "cannot be found");
      const bool unfinished = is_there(path / kAblationLog.file) && !is_there(path / kTraceFile);
      require(!unfinished, ExitCode::usage, {.file = run.path},
              "a sweep that is not finished; `kappascope ablate … --resume` goes on with it");
      require(!trace_files(run.path).empty(), ExitCode::usage, {.file = run.path},
              "expected trace.npz, or the folder of a run or of a sweep; figures of training runs "
              "are for `kappascope plot`");
    }
  }

  // Of one run all figures; of several those that show them together.
  void check_figures() {
    differences_ = runs_.size() > 1 && (figures_.ids.empty() || figures_.ids == "all");
    if (figures_.ids.empty() && runs_.size() == 1) { figures_.ids = "all"; }
    if (figures_.ids.empty()) {
      const bool corpora = std::any_of(runs_.begin(), runs_.end(), is_of_corpus);
      for (const FigureEntry& entry : figure_catalogue()) {
        if (entry.several == Several::one_each || (corpora && !entry.of_corpus)) { continue; }
        figures_.ids += (figures_.ids.empty() ? "" : ",") + std::string(entry.id);
      }
    }
    figures_.check();
  }

  ReportDocument document(Terminal& terminal) {
    const ComparedResult result = compared(runs_, 0, terminal);
    const bool metadata = !no_metadata_ && figures_.style().metadata;
    ReportDocument document = runs_.size() > 1 ? of_several(result) : of_one(result, metadata);
    document.generator = join_words("kappascope ", kToolVersion);
    if (!title_.empty()) { document.title = title_; }
    ReportPart pictures = figures(result, terminal);
    for (ReportFigure& figure : pictures.figures) {  // said at the head of the page
      std::erase(figure.caption, document.lead);
    }
    if (!pictures.figures.empty() || !pictures.absent.empty()) {
      document.parts.push_back(std::move(pictures));
    }
    if (runs_.size() > 1) {
      for (ReportPart& part : single_run_parts(result, metadata)) {
        document.parts.push_back(std::move(part));
      }
    }
    add_glossary(document);
    return document;
  }

  ReportDocument of_one(const ComparedResult& result, bool metadata) const {
    const ComparedRun& run = runs_[0];
    const Trace& trace = run.whole();
    const Trace* const traces[] = {&trace};
    const std::filesystem::path sweep = std::filesystem::path(run.path) / kAblationJson;
    ReportDocument document{.title = model_label(trace), .lead = caption(traces, {""})};
    document.parts.push_back(run_part(trace, "The run", 2, metadata));
    if (run.texts.size() > 1) {
      document.parts.back().tables.push_back(texts_table(run, metadata));
    }
    if (is_there(sweep)) {
      document.title += " without each of its experts";
      document.parts.push_back(sweep_part(sweep, trace));
    }
    ReportPart layers{.title = "Layers"};
    layers.tables = layer_tables(trace, result.whole[0], false);
    if (layers.tables.empty()) { layers.text = {"No MoE layer was recorded."}; }
    document.parts.push_back(std::move(layers));
    return document;
  }

  ReportDocument of_several(const ComparedResult& result) const {
    std::vector<const Trace*> traces;
    std::string names;
    for (std::size_t r = 0; r < runs_.size(); ++r) {
      traces.push_back(&runs_[r].whole());
      names += (names.empty() ? "" : ", ") + result.names[r];
    }
    ReportDocument document{.title = "Comparison of " + names,
                            .lead = caption(traces, result.names)};
    document.parts = comparison_parts(result);
    return document;
  }

  ReportPart figures(const ComparedResult& result, Terminal& terminal) {
    std::vector<const Trace*> traces;
    for (const ComparedRun& run : runs_) { traces.push_back(&run.whole()); }
    FigureOptions named = figures_;
    if (runs_.size() > 1) { named.choices.runs = result.names; }  // as the tables call them
    const FigureHooks hooks{.say = [this](const std::string& line) { said_.push_back(line); }};
    ReportPart part = figures_part(named, traces, terminal, hooks);
    if (differences_) { add_map_differences(part, figures_, result, terminal); }
    return part;
  }

  std::vector<ComparedRun> runs_;
  FigureOptions figures_;
  TalkOptions talk_;
  std::string output_, title_;
  bool force_ = false, no_metadata_ = false;
  bool differences_ = false;       // of maps: where no figures were named
  std::vector<std::string> said_;  // about figures, once the page is there
};

}  // namespace

int report_verb(const Arguments& arguments) {
  return Report().run(arguments);
}

}  // namespace kappascope
