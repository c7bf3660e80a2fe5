// The parts of a report that are about several runs beside each other.
#pragma once

#include <vector>

#include "app/cli/compare_report.h"
#include "core/report/document.h"

namespace kappascope {

// The runs and where their configurations differ; then the differences that `compare` finds.
std::vector<ReportPart> comparison_parts(const ComparedResult& result);

// Of each run what a report of it alone says, its tables folded.
std::vector<ReportPart> single_run_parts(const ComparedResult& result, bool metadata);

}  // namespace kappascope
