// The words of a verb that writes the trace of a text: where to, which files, which figures.
#pragma once

#include <CLI/CLI.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "app/cli/figure_options.h"

namespace kappascope {

struct OutputOptions {
  std::string output, format = "npz,csv,json";
  std::vector<std::string> formats;  // of `format`
  FigureOptions figures;
  bool compress = false, force = false;

  // -o, --format, --compress and those of figures but for `without` (FigureOptions).
  void add_files_to(CLI::App& app, const std::string& without_output,
                    const std::set<std::string_view>& without = {});
  // Fills `formats`. Unknown ones, figures or words that act on files without a folder: usage.
  void check_files();

  bool writes(std::string_view kind) const;
  // Trace, tables and summary of a text, as asked for.
  std::vector<std::string> table_names() const;
};

}  // namespace kappascope
