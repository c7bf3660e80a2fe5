// Texts in the fields of our CSV files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kappascope {

// Appends `text` as a JSON string without its quotes: the field needs none and holds no line break,
// comma or character with a meaning in TeX, and begins with no sign that makes a spreadsheet run
// it, so that every reader finds the same fields. Bytes that are no UTF-8 become U+FFFD. `text` is
// all of the field.
void put_csv_text(std::string& out, std::string_view text);

// The fields of a CSV file (RFC 4180), row by row; what follows the last line break is a row, too.
std::vector<std::vector<std::string>> csv_rows(std::string_view text);

}  // namespace kappascope
