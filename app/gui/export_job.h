// Figures written to files by a job: all of what was asked for, or nothing.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/engine/progress.h"
#include "core/figure/catalogue.h"
#include "core/figure/render.h"
#include "core/figure/training_figures.h"

namespace kappascope::gui {

struct ExportView {
  const FigureEntry* entry = nullptr;  // null: of training runs
  FigureChoices choices;
  std::vector<std::shared_ptr<const Trace>> traces;
  const TrainingFigure* training = nullptr;
  std::vector<std::shared_ptr<const LoggedRun>> runs;
  std::vector<std::filesystem::path> logs;  // of the runs

  std::string id() const { return std::string(entry ? entry->id : training->id); }
  std::string file_name() const { return entry ? entry->file_name(choices) : id(); }
};

struct ExportOrder {
  std::vector<ExportView> views;
  std::vector<FigureFormat> formats = {FigureFormat::svg};
  FigureStyle style;
  std::filesystem::path folder;
  bool replace = false;  // files that are there
};

struct ExportOutcome {
  std::vector<std::string> written;     // names in the folder
  std::vector<std::string> in_the_way;  // files that are there: then nothing was written
  std::vector<std::string> left_out;    // views that this trace does not have, and why
  std::vector<std::string> said;        // settings that act on some views alone, and what a preset
                                        // asks for and is not kept
};

// Several traces of a figure of one are side by side.
Figure make_view(const ExportView& view);

// The options of `kappascope plot` that say what the view shows, each with a blank in front. Views
// of the same traces and options are made by one command; they alone share a scale.
std::string plot_words(const ExportView& view);

// What of the style acts on any of these views, which one command makes. Views that cannot be made
// are taken out.
FigureStyle acting_style(const FigureStyle& style, std::vector<ExportView>& views);

// Files are made in a hidden folder beside their place and moved when all are whole. Errors: io,
// those of a single view, interrupted.
ExportOutcome write_export(const ExportOrder& order, Progress& progress);

}  // namespace kappascope::gui
