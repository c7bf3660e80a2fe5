// `kappascope metrics`: what each number means.
#include "app/metrics.h"

#include "app/cli/command_line.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"

namespace kappascope {
namespace {

constexpr std::int64_t kLineColumns = 80;  // lines break before this

// `text` in lines after `start`, each after the first indented by `indent`.
std::string wrapped(std::string start, std::string_view text, std::int64_t indent) {
  std::string result = std::move(start);
  std::int64_t column = display_width(result);
  for (bool first = true; !text.empty(); first = false) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!first && column + 1 + display_width(word) > kLineColumns) {
      result += "\n" + std::string(std::size_t(indent), ' ');
      column = indent;
    } else if (!first) {
      result += ' ';
      ++column;
    }
    result += word;
    column += display_width(word);
  }
  return result + "\n";
}

// A section as people read it: heading, paragraphs, and items after their first words.
std::string as_text(std::string_view definition) {
  std::string text;
  for (const HelpBlock& block : help_blocks(definition)) {
    std::string words;
    for (const HelpWords& part : block.words) { words += part.text; }
    if (block.kind == HelpBlock::Kind::heading) {
      text += bold(words) + "\n\n";
    } else if (block.kind == HelpBlock::Kind::item) {
      text += wrapped("  ", words, 4);
    } else {
      text += wrapped("", words, 0) + "\n";
    }
  }
  while (text.ends_with("\n\n")) { text.pop_back(); }
  return text;
}

}  // namespace

int metrics_verb(const Arguments& arguments) {
  CLI::App app("Tell what a number means: formula, unit, range, when not to trust it",
               "kappascope metrics");
  app.footer("\nExamples:\n  kappascope metrics\n  kappascope metrics gate_kz_rms");
  std::string id;
  app.add_option("ID", id,
                 "name of a quantity: an array, a column or a key; all names without one");
  if (!parse_words(app, arguments.words)) { return int(ExitCode::ok); }
  if (id.empty()) {
    std::string text;
    for (const std::string_view name : metric_names()) { text += join_words(name, "\n"); }
    print(text);
    return int(ExitCode::ok);
  }
  const std::string_view definition = metric_definition(id);
  require(!definition.empty(), ExitCode::usage, {}, "no metric is called '", id,
          "'; `kappascope metrics` lists all");
  print(as_text(definition));
  return int(ExitCode::ok);
}

}  // namespace kappascope
