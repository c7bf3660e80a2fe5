// The files that a run writes for one text.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "app/cli/effect.h"
#include "app/cli/output_folder.h"
#include "app/cli/output_options.h"
#include "app/cli/terminal.h"
#include "core/model/model.h"
#include "core/stats/summary.h"
#include "core/trace/trace.h"

namespace kappascope {

// The trace with the parameters beside it, which are written when the folder has none of them or
// those of another model.
Trace open_with_parameters(const OutputFolder& folder, const std::filesystem::path& path,
                           const Model& model, const OutputOptions& options);

// tokens.csv, routing.csv and summary.json, as asked for.
void write_tables(const OutputFolder& folder, const Trace& trace, const Json& summary,
                  const OutputOptions& options);

// The figures asked for; returns their names in the folder.
std::vector<std::string> write_pictures(const OutputFolder& folder, const Trace& trace,
                                        const OutputOptions& options, Progress& progress,
                                        Terminal& terminal);

// The effect of the run against the one that --against asked for: adds the names of the files that
// are not among those that are always written, and returns it.
Effect write_effect(const OutputFolder& folder, const Trace& trace,
                    const std::vector<LayerSummary>& layers, const Model& model,
                    const OutputOptions& options, std::vector<std::string>& files);

}  // namespace kappascope
