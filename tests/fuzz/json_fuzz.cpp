// Any bytes as JSON: an Error, or a value that another parser reads the same, that no other file
// than a JSON text gave, and that is the same once written and read again.
#include <cstdlib>

#include "core/checkpoint/json.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"

void kappascope::testing::fuzz_json(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  testing::only_file_errors([&] {
    const Json value = parse_json(text, "a.json");
    if (Json::parse(text, nullptr, /*allow_exceptions=*/false) != value) { std::abort(); }
    for (const int indent : {-1, 2}) {
      const std::string written = value.dump(indent, ' ', false, Json::error_handler_t::replace);
      if (parse_json(written, "again") != value) { std::abort(); }
    }
    if (found_text(value).size() > 64) { std::abort(); }
  });
}
