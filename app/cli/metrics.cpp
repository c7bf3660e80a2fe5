// `kappascope metrics`: what each number means.
#include "app/metrics.h"
#include "app/cli/command_line.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"

namespace kappascope {
int metrics_verb(const Arguments& arguments) {
  CLI::App app("Tell what a number means: formula, unit, range, when not to trust it",
               "kappascope metrics");
  app.footer("\nExamples:\n  kappascope metrics\n  kappascope metrics gate_kz_rms");
  std::string id;
  app.add_option("ID", id, "name in trace.npz or summary.json; all names without one");
  if (!parse_words(app, arguments.words)) return int(ExitCode::ok);
  if (id.empty()) {
    std::string text;
    for (const std::string_view name : metric_names()) text += join_words(name, "\n");
    print(text);
    return int(ExitCode::ok);
  }
  const std::string_view definition = metric_definition(id);
  require(!definition.empty(), ExitCode::usage, {}, "no metric is called '", id,
          "'; `kappascope metrics` lists all");
  print(join_words(definition, "\n"));
  return int(ExitCode::ok);
}

}  // namespace kappascope
