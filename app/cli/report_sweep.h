// The part of a report that is about a sweep over experts.
#pragma once

#include <filesystem>

#include "core/report/document.h"
#include "core/trace/trace.h"

namespace kappascope {

// What ablation.json beside the trace says. Errors: damaged where it is no such document, or of
// another model or text than the trace; io where it cannot be read.
ReportPart sweep_part(const std::filesystem::path& file, const Trace& trace);

}  // namespace kappascope
