// Rows of cells in columns, as verbs print them.
#pragma once

#include <string>
#include <vector>

namespace kappascope {

using TextRow = std::vector<std::string>;

// Columns two blanks apart: the first `left` of them begin at the left, the others end at the
// right. The first row is a header.
std::string text_table(const std::vector<TextRow>& rows, std::size_t left = 0);

// A number as such tables have it; "–" for NaN.
std::string cell(double value, int digits = 4);

}  // namespace kappascope
