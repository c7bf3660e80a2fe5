#include "core/figure/table_rows.h"

#include <algorithm>
#include <cmath>

#include "core/figure/readout.h"
#include "core/figure/text.h"
#include "core/nan.h"

namespace kappascope {
namespace {

using Texts = std::vector<std::string>;

std::size_t place(const Column& column, std::int64_t row, std::size_t size) {
  return static_cast<std::size_t>(row / column.repeat) % size;
}

double number_at(const Column& column, std::int64_t row) {
  return std::visit(
      [&](const auto& values) -> double {
        if constexpr (std::is_same_v<std::decay_t<decltype(values)>, Texts>) {
          return kNaN;
        } else {
          return values.empty() ? kNaN
                                : static_cast<double>(values[place(column, row, values.size())]);
        }
      },
      column.values);
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
}

bool contains(const std::string& text, std::string_view part) {
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [](char a, char b) { return lower(a) == lower(b); }) != text.end();
}

}  // namespace

std::string field_text(const Column& column, std::int64_t row) {
  return std::visit(
      [&](const auto& values) -> std::string {
        if (values.empty()) { return ""; }
        const auto& value = values[place(column, row, values.size())];
        using Value = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, std::string>) {
          return plain_text(value);
        } else if constexpr (std::is_same_v<Value, std::int64_t>) {
          return count_text(value);
        } else {  // counts that a few rows have not are numbers of this kind, too
          const bool count = std::floor(value) == value && std::abs(value) < 1e15;
          return count ? count_text(static_cast<std::int64_t>(value)) : value_text(value);
        }
      },
      column.values);
}

std::vector<std::int64_t> ordered_rows(const Table& table, std::string_view part,
                                       std::size_t column, bool descending) {
  std::vector<std::int64_t> rows;
  if (table.columns.empty()) { return rows; }
  const auto* names = std::get_if<Texts>(&table.columns.front().values);
  for (std::int64_t row = 0; row < table.rows; ++row) {
    const bool named = !part.empty() && names && !names->empty();
    const Column& first = table.columns.front();
    if (named && !contains((*names)[place(first, row, names->size())], part)) { continue; }
    rows.push_back(row);
  }
  if (column >= table.columns.size()) { return rows; }
  const Column& by = table.columns[column];
  if (const auto* texts = std::get_if<Texts>(&by.values)) {
    if (texts->empty()) { return rows; }
    const auto text = [&](std::int64_t row) -> const std::string& {
      return (*texts)[place(by, row, texts->size())];
    };
    std::stable_sort(rows.begin(), rows.end(), [&](std::int64_t a, std::int64_t b) {
      return descending ? text(b) < text(a) : text(a) < text(b);
    });
    return rows;
  }
  std::stable_sort(rows.begin(), rows.end(), [&](std::int64_t a, std::int64_t b) {
    const double of_a = number_at(by, a), of_b = number_at(by, b);
    if (std::isnan(of_a) || std::isnan(of_b)) { return !std::isnan(of_a) && std::isnan(of_b); }
    return descending ? of_b < of_a : of_a < of_b;
  });
  return rows;
}

}  // namespace kappascope
