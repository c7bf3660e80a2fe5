// The parts of a report that are about one run: what it is of, its numbers, its layers. All of them
// are made from a trace alone, so that whatever can be opened as one has them.
#pragma once

#include <string>
#include <vector>

#include "app/cli/compared_runs.h"
#include "core/report/document.h"
#include "core/stats/summary.h"
#include "core/trace/trace.h"

namespace kappascope {

// What the run is of and the numbers that come first. `metadata`: also where it comes from: text,
// hashes, command and versions.
ReportPart run_part(const Trace& trace, const std::string& title, int level, bool metadata);

// A row for each text of a run of several.
ReportTable texts_table(const ComparedRun& run, bool metadata);

// Every statistic of summary.json: tables by subject with a row a layer and pass, one of the dense
// layers, one of the experts. A column without any number is left out, and a table without columns.
std::vector<ReportTable> layer_tables(const Trace& trace, const std::vector<LayerSummary>& layers,
                                      bool folded);

// Columns without any value are left out.
void drop_empty_columns(Table& table);

}  // namespace kappascope
