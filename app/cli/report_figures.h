// The figures of a report: drawn as files have them, with their title, caption and numbers beside
// the picture and not in it.
#pragma once

#include <string>
#include <vector>

#include "app/cli/compare_report.h"
#include "app/cli/figure_options.h"
#include "core/report/document.h"

namespace kappascope {

// The figures that `options` asks for of the traces; of those without any value the reason, as
// `plot` writes it into an empty picture. Errors: those of make_figures.
ReportPart figures_part(const FigureOptions& options, Traces traces, Progress& progress,
                        const FigureHooks& hooks);

// Adds what the maps of two runs differ in, styled as asked.
void add_map_differences(ReportPart& part, const FigureOptions& options,
                         const ComparedResult& result, Progress& progress);

}  // namespace kappascope
