// Any bytes as fields of our CSV files, divided at every 0xFF: the fields that are read are as
// many, need no quotes, and mean the same text. And any bytes as a CSV file: rows.
#include <cstdlib>

#include "core/checkpoint/json.h"
#include "core/csv_text.h"
#include "core/utf8.h"
#include "tests/fuzz/targets.h"

namespace {

using namespace kappascope;

// What the field of a JSON text without its quotes means; "?" where it is none.
std::string meaning(const std::string& field) {
  const Json text = Json::parse('"' + field + '"', nullptr, /*allow_exceptions=*/false);
  return text.is_string() ? text.get<std::string>() : "?";
}

void check_field(const std::string& given, const std::string& read) {
  if (read.find_first_of("\",\r\n") != std::string::npos) { std::abort(); }
  if (read.size() > 1 && std::string_view("=+-@").find(read[0]) != std::string_view::npos) {
    std::abort();
  }
  if (is_utf8(given) && meaning(read) != given) { std::abort(); }
}

}  // namespace

void kappascope::testing::fuzz_csv(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> fields{"first"};
  for (const char c : bytes) {
    if (c == '\xff') {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  std::string line;
  for (const std::string& field : fields) {
    if (!line.empty()) { line += ','; }
    put_csv_text(line, field);
  }
  const auto rows = csv_rows(line + "\n" + line);
  if (rows.size() != 2 || rows[0] != rows[1] || rows[0].size() != fields.size()) { std::abort(); }
  for (std::size_t i = 0; i < fields.size(); ++i) { check_field(fields[i], rows[0][i]); }
  for (const std::vector<std::string>& row : csv_rows(bytes)) {
    if (row.empty()) { std::abort(); }
  }
}
