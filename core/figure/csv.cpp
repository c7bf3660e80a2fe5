#include <charconv>
#include <cmath>
#include <cstdio>
#include <span>

#include "core/csv_text.h"
#include "core/error.h"
#include "core/figure/render.h"
#include "core/figure/text.h"
#include "core/trace/output_file.h"

namespace kappascope {
namespace {

constexpr std::size_t kBlock = 1 << 20;

void put_field(std::string& out, const std::string& field) {
  put_csv_text(out, field);
}

template <typename Number>
void put_field(std::string& out, Number value) {
  if constexpr (std::is_floating_point_v<Number>) {
    if (std::isnan(value)) { return; }
  }
  char text[64];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

void put_header(std::string& out, const Table& table, char separator) {
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    if (c > 0) { out += separator; }
    put_field(out, table.columns[c].name);
  }
}

void put_row(std::string& out, const Table& table, std::int64_t row, char separator) {
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const Column& column = table.columns[c];
    if (c > 0) { out += separator; }
    std::visit(
        [&](const auto& values) {
          if (values.empty()) { return; }
          const auto at = static_cast<std::size_t>(row / column.repeat) % values.size();
          put_field(out, values[at]);
        },
        column.values);
  }
}

}  // namespace

void write_csv(const Table& table, const std::filesystem::path& path) {
  OutputFile file(path);
  std::string block;
  std::uint64_t offset = 0;
  const auto flush = [&] {
    file.write_at(offset, std::as_bytes(std::span(block)));
    offset += block.size();
    block.clear();
  };
  put_header(block, table, ',');
  block += "\r\n";
  for (std::int64_t row = 0; row < table.rows; ++row) {
    put_row(block, table, row, ',');
    block += "\r\n";
    if (block.size() >= kBlock) { flush(); }
  }
  flush();
  file.finish();
}

std::string tab_separated(const Table& table, std::size_t most) {
  std::string text;
  put_header(text, table, '\t');
  text += '\n';
  for (std::int64_t row = 0; row < table.rows; ++row) {
    put_row(text, table, row, '\t');
    text += '\n';
    require(text.size() <= most, ExitCode::usage, {}, "the table of ", table.rows,
            " rows is too large to copy; export it as CSV");
  }
  return text;
}

}  // namespace kappascope
