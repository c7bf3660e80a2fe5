#include "app/cli/output_options.h"

#include <algorithm>

#include "app/cli/command_line.h"
#include "app/cli/output_folder.h"
#include "core/trace/trace.h"

namespace kappascope {

void OutputOptions::add_files_to(CLI::App& app, const std::string& without_output,
                                 const std::set<std::string_view>& without) {
  app.add_option("-o,--output", output, "folder to write to; without it " + without_output);
  app.add_option("--format", format, "files to write")->capture_default_str();
  app.add_flag("--compress", compress,
               "compress trace.npz and model.npz (slower to write and open)");
  figures.add_to(app, without);
}

void OutputOptions::check_files() {
  figures.check();
  const bool look =
      !figures.given_settings().empty() || !figures.style_file.empty() || !figures.tokens.empty();
  require(!output.empty() || !look, ExitCode::usage, {},
          "the look of figures acts on files: give a folder for them with -o DIR");
  formats = parse_list("--format", format, {"npz", "csv", "json"});
}

bool OutputOptions::writes(std::string_view kind) const {
  return std::find(formats.begin(), formats.end(), kind) != formats.end();
}

std::vector<std::string> OutputOptions::table_names() const {
  std::vector<std::string> names;
  if (writes("npz")) { names.push_back(kTraceFile); }
  if (writes("csv")) { names.insert(names.end(), {kTokensFile, kRoutingFile}); }
  if (writes("json")) { names.push_back(kSummaryFile); }
  return names;
}

}  // namespace kappascope
