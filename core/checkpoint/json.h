// JSON from files we do not trust.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"

namespace kappascope {

using Json = nlohmann::json;

// Whether the words NaN, Infinity and -Infinity, which Python's json writes and JSON does not have,
// are numbers.
enum class NotFinite : std::uint8_t { refused, numbers };

// Parses one JSON text by SAX: nesting over 64, duplicate keys, NaN, numbers over the range of a
// double, invalid UTF-8 and trailing text are refused (damaged) with `file` and the offset.
// More than `most_values` values: unsupported. One takes about 100 bytes of memory.
inline constexpr std::size_t kMostJsonValues = std::size_t{1} << 24;
Json parse_json(std::string_view text, std::string_view file,
                NotFinite not_finite = NotFinite::refused,
                std::size_t most_values = kMostJsonValues);

// What the object has there; nullptr where it has none or null, and of what is no object.
inline const Json* value_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

// null where there is none.
inline Json json_of(const std::optional<std::int64_t>& number) {
  return number ? Json(*number) : Json();
}

// A value as an error shows it: at most 40 bytes; a number that is not finite by its name.
std::string found_text(const Json& value);

}  // namespace kappascope
