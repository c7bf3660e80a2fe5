// JSON from files we do not trust.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "core/error.h"

namespace kappascope {

using Json = nlohmann::json;

// Parses one JSON text by SAX: nesting over 64, duplicate keys, NaN, numbers over the range of a
// double, invalid UTF-8 and trailing text are refused (damaged) with `file` and the offset.
Json parse_json(std::string_view text, std::string_view file);

}  // namespace kappascope
