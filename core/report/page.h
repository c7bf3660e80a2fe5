// A report as one HTML file.
#pragma once

#include <string>

#include "core/report/document.h"

namespace kappascope {

// The page: complete without a network, a script or another file. Same document, same bytes. Its
// Content-Security-Policy allows nothing from elsewhere, and of scripts only the one that sorts
// tables. Column and number names that the glossary has link to it.
std::string to_html(const ReportDocument& document);

}  // namespace kappascope
