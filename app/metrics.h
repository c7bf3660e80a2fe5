// What each number means: docs/metrics.md as it was when this was built.
#pragma once

#include <string_view>
#include <vector>

namespace kappascope {

std::vector<std::string_view> metric_names();  // in the document's order

// The section of a metric, from its heading to the next; "" for an unknown name.
std::string_view metric_definition(std::string_view name);

}  // namespace kappascope
