// `kappascope plot`: figures of traces, without model or Torch.
#include "app/cli/batch_index.h"
#include "app/cli/command_line.h"
#include "app/cli/figure_options.h"
#include "app/cli/interrupts.h"
#include "app/cli/output_folder.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "core/trace/trace.h"

namespace kappascope {
namespace {

constexpr const char* kExamples = R"(
Examples:
  kappascope plot out/trace.npz -o figures
  kappascope plot out/trace.npz --figures kappa-tokens --figure-format pdf --width 85 -o figures
  kappascope plot a/trace.npz b/trace.npz --figures loss,kappa-depth -o figures
  kappascope plot out/trace.npz --figures kappa-depth --preset nature --bare --label d8-kappa=ours -o figures
  kappascope plot a/trace.npz b/trace.npz --figures kappa-tokens --panels -o figures
  kappascope plot out/trace.npz --figures kappa-vs-score --layer 5 --expert 3 -o figures)";

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
  return folder ? std::filesystem::path(path) / kTraceFile : std::filesystem::path(path);
}

}  // namespace

int plot_verb(const Arguments& arguments) {
  CLI::App app("Figures of traces as files, without model or Torch", "kappascope plot");
  app.footer(kExamples + std::string("\n") + list_of_figures());
  std::vector<std::string> paths;
  std::string output;
  FigureOptions options;
  TalkOptions talk;
  bool force = false;
  app.add_option("TRACE", paths, "trace.npz files, or the folders of runs")->required();
  options.add_to(app);
  options.add_choices_to(app);
  app.add_option("-o,--output", output, "folder to write to")->required();
  app.add_flag("--force", force, "replace files that kappascope has not written");
  talk.add_to(app);
  if (!parse_words(app, arguments.words)) { return int(ExitCode::ok); }
  options.check();
  require(options.ids != "none", ExitCode::usage, {}, "--figures none leaves nothing to plot");

  std::vector<Trace> opened;
  opened.reserve(paths.size());
  for (const std::string& path : paths) { opened.push_back(open_trace(trace_file(path))); }
  std::vector<const Trace*> traces;
  traces.reserve(opened.size());
  for (const Trace& trace : opened) { traces.push_back(&trace); }
  Interrupts interrupts;
  Terminal terminal(talk.talk(), interrupts);
  OutputFolder folder(output, force, interrupts);
  for (const Trace& trace : opened) {
    if (!trace.model_problem.empty()) { terminal.warn(trace.model_problem); }
  }
  std::vector<std::string> said;
  const std::vector<std::string> names =
      write_figures(options, traces, folder.staged(""), terminal,
                    {.say = [&](const std::string& line) { said.push_back(line); }});
  for (const Trace& trace : opened) { require_unchanged(trace); }
  folder.check_places({}, names);
  terminal.erase();
  folder.publish({}, names);
  for (const std::string& line : said) { terminal.warn(line); }
  if (!talk.quiet) {
    for (const std::string& name : names) { print((folder.path() / name).string() + "\n"); }
  }
  return int(ExitCode::ok);
}

}  // namespace kappascope
