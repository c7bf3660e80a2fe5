#include <charconv>
#include <cmath>
#include <span>

#include "core/error.h"
#include "core/figure/axis.h"
#include "core/figure/render.h"
#include "core/trace/output_file.h"

namespace kappascope {
namespace {

constexpr std::size_t kBlock = 1 << 20;

void put_field(std::string& out, const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  out += '"';
}

template <typename Number>
void put_field(std::string& out, Number value) {
  if constexpr (std::is_floating_point_v<Number>) {
    if (std::isnan(value)) return;
  }
  char text[64];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

void put_row(std::string& out, const Table& table, std::int64_t row) {
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const Column& column = table.columns[c];
    if (c > 0) out += ',';
    std::visit(
        [&](const auto& values) {
          if (values.empty()) return;
          const auto at = static_cast<std::size_t>(row / column.repeat) % values.size();
          put_field(out, values[at]);
        },
        column.values);
  }
  out += "\r\n";
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
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    if (c > 0) block += ',';
    put_field(block, name_with_unit(table.columns[c].name, table.columns[c].unit));
  }
  block += "\r\n";
  for (std::int64_t row = 0; row < table.rows; ++row) {
    put_row(block, table, row);
    if (block.size() >= kBlock) flush();
  }
  flush();
  file.finish();
}

}  // namespace kappascope
