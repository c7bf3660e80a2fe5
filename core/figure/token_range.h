// A part of a figure along tokens: what was zoomed into, as a picture of its own.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/figure/figure.h"

namespace kappascope {

// Tokens first … last, both of them; last < 0: all.
struct TokenRange {
  std::int64_t first = 0, last = -1;
  bool all() const { return last < 0; }
  auto operator<=>(const TokenRange&) const = default;
};

// "12-87" or "12:87", or "12" for one. Errors: usage.
TokenRange token_range(const std::string& text);

// Whether a panel, or any panel of a figure, has tokens along an axis.
bool has_token_axis(const Panel& panel);
bool has_token_axis(const Figure& figure);

// Leaves of every panel with tokens along x, and of every table with a column "token", what is in
// the range; colours and all other panels stay as they are. A figure without tokens is not changed.
// Errors: usage, when the range holds none of its tokens, which are those of `file`.
void keep_tokens(Figure& figure, TokenRange range, const std::string& file);

// Keeps the rows of a table whose whole number in a column is to be kept; false: it has no such
// column, and stays as it is.
bool keep_rows(Table& table, std::string_view column,
               const std::function<bool(std::int64_t)>& kept);

}  // namespace kappascope
