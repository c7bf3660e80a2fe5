#include "app/cli/text_table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "app/cli/terminal.h"

namespace kappascope {
namespace {

constexpr std::size_t kGap = 2;  // columns between two cells

std::string aligned(const TextRow& row, const std::vector<std::size_t>& widths, std::size_t left) {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const std::string blanks(widths[i] - std::size_t(display_width(row[i])), ' ');
    const bool last = i + 1 == row.size();
    line += std::string(i == 0 ? 0 : kGap, ' ') +
            (i < left ? row[i] + (last ? "" : blanks) : blanks + row[i]);
  }
  return line;
}

}  // namespace

std::string text_table(const std::vector<TextRow>& rows, std::size_t left) {
  std::vector<std::size_t> widths;
  for (const TextRow& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], std::size_t(display_width(row[i])));
    }
  }
  std::string text;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const std::string line = aligned(rows[r], widths, left);
    text += (r == 0 ? bold(line) : line) + "\n";
  }
  return text;
}

std::string cell(double value, int digits) {
  if (std::isnan(value)) { return "–"; }
  char text[64];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

}  // namespace kappascope
