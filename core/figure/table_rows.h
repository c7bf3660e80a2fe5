// Tables as they are looked at: some of their rows, in the order of one column.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/figure/figure.h"

namespace kappascope {

// Rows whose field of the first column contains `part`, letters of ASCII in either case, by their
// field of `column`: texts by their bytes; NaN and absent numbers last in either direction. Rows of
// equal fields are in the order of the table.
std::vector<std::int64_t> ordered_rows(const Table& table, std::string_view part,
                                       std::size_t column, bool descending);

// A field for people: "−1.25", "3,600", a text as it is; "–" for NaN, "" where there is none.
std::string field_text(const Column& column, std::int64_t row);

}  // namespace kappascope
