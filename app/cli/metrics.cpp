// `kappascope metrics`: what each number means, from docs/metrics.md as it was when this was built.
#include <algorithm>

#include "app/cli/command_line.h"
#include "app/cli/metrics_text.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"

namespace kappascope {
namespace {

constexpr std::string_view kHeading = "\n## ";

// The names of all sections, in the document's order.
std::vector<std::string_view> section_names() {
  std::vector<std::string_view> names;
  for (std::size_t at = kMetricsText.find(kHeading); at != std::string_view::npos;
       at = kMetricsText.find(kHeading, at + 1)) {
    const std::size_t begin = at + kHeading.size();
    names.push_back(kMetricsText.substr(begin, kMetricsText.find('\n', begin) - begin));
  }
  return names;
}

// A section from its heading to the next heading of any level.
std::string_view section(std::string_view name) {
  const std::size_t begin = kMetricsText.find(join_words(kHeading, name, "\n")) + 1;
  const std::size_t end =
      std::min(kMetricsText.find("\n## ", begin), kMetricsText.find("\n# ", begin));
  return kMetricsText.substr(begin, end == std::string_view::npos ? end : end - begin);
}

}  // namespace

int metrics_verb(const Arguments& arguments) {
  CLI::App app("Tell what a number means: formula, unit, range, when not to trust it",
               "kappascope metrics");
  app.footer("\nExamples:\n  kappascope metrics\n  kappascope metrics gate_kz_rms");
  std::string id;
  app.add_option("ID", id, "name in trace.npz or summary.json; all names without one");
  if (!parse_words(app, arguments.words)) return int(ExitCode::ok);
  const std::vector<std::string_view> names = section_names();
  if (id.empty()) {
    std::string text;
    for (const std::string_view name : names) text += join_words(name, "\n");
    print(text);
    return int(ExitCode::ok);
  }
  require(std::find(names.begin(), names.end(), id) != names.end(), ExitCode::usage, {},
          "no metric is called '", id, "'; `kappascope metrics` lists all");
  print(join_words(section(id), "\n"));
  return int(ExitCode::ok);
}

}  // namespace kappascope
