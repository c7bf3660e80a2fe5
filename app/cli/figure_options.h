// Words about figures, shared by `run` and `plot`, and the files they ask for.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "core/engine/progress.h"
#include "core/figure/catalogue.h"
#include "core/figure/render.h"

namespace kappascope {

struct FigureOptions {
  std::string ids = "all";      // all, none, or ID,…
  std::string formats = "svg";  // svg,pdf,png,csv
  std::string layers;           // "3", "2,4-6"; "": the usual one
  bool panels = false;          // figures of one trace, given several: side by side in one file
  bool no_metadata = false;
  FigureChoices choices;  // all but the layer
  FigureStyle style;
  std::string tokens;  // "12-87"; "" all

  void add_to(CLI::App& app);          // --figures, --figure-format, --no-metadata
  void add_choices_to(CLI::App& app);  // what is shown, and how large
  // The figures asked for, in the catalogue's order; unknown ids and formats, sizes that no figure
  // fits in: usage. No font where text is to be drawn: io.
  std::vector<const FigureEntry*> entries() const;
  void check() const;
};

// Makes the figures of `traces` in `folder`, which must exist; returns the files' names. A figure
// of one trace is made of each of several. Throws Error (interrupted) when the progress says stop.
std::vector<std::string> write_figures(const FigureOptions& options, Traces traces,
                                       const std::filesystem::path& folder, Progress& progress);

}  // namespace kappascope
