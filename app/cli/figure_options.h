// Words about figures, shared by the verbs that draw them, and the files they ask for.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/engine/progress.h"
#include "core/figure/catalogue.h"
#include "core/figure/render.h"
#include "core/figure/style.h"
#include "core/figure/training_figures.h"

namespace kappascope {

struct FigureOptions {
  std::string ids = "all";      // all, none, or ID,…
  std::string formats = "svg";  // svg,pdf,eps,png,csv
  std::string layers;           // "3", "2,4-6"; "": the usual one
  std::string kept_layers;      // the same form; "": all
  bool panels = false;          // figures of one trace, given several: side by side in one file
  bool of_training = false;     // ids are those of figures of training runs
  FigureChoices choices;        // all but the layer
  std::string tokens;           // "12:87"; "" all
  std::string style_file;       // "": none

  // --figures, --figure-format, --tokens and the settings of the style, but for those that
  // `without` names: "title".
  void add_to(CLI::App& app, const std::set<std::string_view>& without = {});
  void add_choices_to(CLI::App& app);  // what is shown
  // The figures asked for, in the catalogue's order; unknown ids and formats, sizes that no figure
  // fits in: usage. No font where text is to be drawn: io.
  std::vector<const FigureEntry*> entries() const;
  std::vector<const TrainingFigure*> training_entries() const;  // likewise, of training runs
  void check() const;
  // Before a text of so many tokens is run: --tokens names none of them: usage.
  void check_tokens(std::int64_t count, const std::string& source) const;
  // The settings given, before those of the style file, before those of a preset. Errors: those of
  // read_style.
  FigureStyle style() const;
  std::vector<StyleWords> given_settings() const;

 private:
  std::vector<std::string> asked() const;  // ids of what is to be drawn

  std::map<std::string, std::vector<std::string>> words_;  // of settings with a value, by name
  std::map<std::string, bool> toggles_;
};

struct FigureHooks {
  // Gets a line for each word that acts on some figures alone and for what a preset asks for and is
  // not kept.
  std::function<void(const std::string&)> say;
  // A word that can act on none of the figures is an error (usage); false, where more than figures
  // would be lost by it: a line, too.
  bool refuse = true;
  // Of all figures the one that these traces have none of, and why.
  std::function<void(const FigureEntry& entry, const std::string& why)> absent = {};
};

// A figure as it is to be drawn.
struct StyledFigure {
  const Figure& figure;
  const FigureStyle& style;
  TextMeter& meter;
  std::vector<std::string> demands = {};  // of a preset that the picture does not keep
};
using UseFigure = std::function<void(StyledFigure&)>;

// Makes the figures of `traces`, styled as asked, and gives each to `use`. Errors as below.
void make_figures(const FigureOptions& options, Traces traces, Progress& progress,
                  const FigureHooks& hooks, const UseFigure& use);

// Makes the figures of `traces` in `folder`, which must exist; returns the files' names. A figure
// of one trace is made of each of several. Throws Error (interrupted) when the progress says stop.
std::vector<std::string> write_figures(const FigureOptions& options, Traces traces,
                                       const std::filesystem::path& folder, Progress& progress,
                                       const FigureHooks& hooks);

// The same of training runs.
std::vector<std::string> write_training_figures(const FigureOptions& options, LoggedRuns runs,
                                                const std::filesystem::path& folder,
                                                Progress& progress, const FigureHooks& hooks);

// The files of one figure that is made already, styled as asked where that can act on it; returns
// their names.
std::vector<std::string> write_figure_files(const FigureOptions& options, Figure figure,
                                            const std::filesystem::path& folder);

}  // namespace kappascope
