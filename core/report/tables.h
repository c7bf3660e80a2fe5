// Tables of a report as HTML.
#pragma once

#include <functional>
#include <string>

#include "core/report/document.h"

namespace kappascope {

// Where the glossary explains a name: an id and one sentence; of names that it has not "".
struct GlossaryPlace {
  std::string id, brief;
};
using FindPlace = std::function<GlossaryPlace(const std::string& name)>;

// The table with the script's marks for sorting: the kind of each column, and of each number its
// value to the last digit. A folded one is inside a <details>.
std::string table_html(const ReportTable& table, const FindPlace& find);

// `name`, escaped, linked to the glossary where that has it; with room for a line break behind each
// '_' and '.'.
std::string metric_link(const std::string& name, const FindPlace& find);

}  // namespace kappascope
