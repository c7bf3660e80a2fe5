// Figures of training runs, from their logs: of one run, or of several between the same axes. To
// add one: a function and a line in the table of figures_training.cpp.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/figure/figure.h"
#include "core/train/log_reader.h"

namespace kappascope {

using LoggedRuns = std::span<const LoggedRun* const>;  // one or more

// A run as a figure shows it.
struct NamedRun {
  const LoggedRun* run = nullptr;
  std::string name;        // among the others
  std::size_t number = 0;  // of its colour, the same in every figure
};
using NamedRuns = std::span<const NamedRun>;

struct TrainingFigure {
  std::string_view id;          // of its files, too
  std::string_view title;       // what a person calls it, and the heading of the figure
  std::string_view what;        // one line for a person
  std::string_view metric;      // section of docs/metrics.md that defines what is shown
  std::string_view shown_part;  // of a log, as in "the log has no …"
  void (*draw)(Figure& figure, NamedRuns runs);
  bool (*shows)(const LoggedRun& run);  // whether the run has any of it

  // Runs are named by their folders. One without anything of it is left out, and a note says so.
  Figure make(LoggedRuns runs) const;
};

std::span<const TrainingFigure> training_figures();

// The figure called `id`; null: none is.
const TrainingFigure* training_figure(std::string_view id);

}  // namespace kappascope
