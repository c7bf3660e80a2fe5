#include <numeric>

#include "core/error.h"
#include "core/figure/render.h"
#include "core/figure/text.h"
#include "core/trace/csv_rows.h"

namespace kappascope {
namespace {

void put_field(CsvRows& rows, const std::string& field) {
  rows.text(field);
}
void put_field(CsvRows& rows, std::int64_t value) {
  rows.integer(value);
}
void put_field(CsvRows& rows, float value) {
  rows.number(value);
}
void put_field(CsvRows& rows, double value) {
  rows.number(value);
}

void put_header(CsvRows& rows, const Table& table) {
  for (const Column& column : table.columns) { rows.text(column.name); }
}

void put_row(CsvRows& rows, const Table& table, std::int64_t row) {
  for (const Column& column : table.columns) {
    std::visit(
        [&](const auto& values) {
          if (values.empty()) { return rows.absent(); }
          const auto at = static_cast<std::size_t>(row / column.repeat) % values.size();
          put_field(rows, values[at]);
        },
        column.values);
  }
}

}  // namespace

void write_csv(const Table& table, const std::filesystem::path& path) {
  CsvFile file(path);
  put_header(file, table);
  file.end_row();
  for (std::int64_t row = 0; row < table.rows; ++row) {
    put_row(file, table, row);
    file.end_row();
  }
  file.finish();
}

std::string tab_separated(const Table& table, std::span<const std::int64_t> rows,
                          std::size_t most) {
  CsvRows text('\t', "\n");
  put_header(text, table);
  text.end_row();
  for (const std::int64_t row : rows) {
    put_row(text, table, row);
    text.end_row();
    require(text.written().size() <= most, ExitCode::usage, {}, "the table of ",
            count_text(std::ssize(rows)), " rows is too large to copy; export it as CSV");
  }
  return std::move(text.written());
}

std::string tab_separated(const Table& table, std::size_t most) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(table.rows));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return tab_separated(table, rows, most);
}

}  // namespace kappascope
