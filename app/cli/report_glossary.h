// Units and definitions of a report's columns and numbers, from docs/metrics.md as it was built in.
#pragma once

#include "core/report/document.h"

namespace kappascope {

// Gives every column of the document's tables that has none its unit, and the glossary a section
// for each metric that a column, a number or a figure is of, in the order of docs/metrics.md. A
// name that it does not define has neither.
void add_glossary(ReportDocument& document);

}  // namespace kappascope
