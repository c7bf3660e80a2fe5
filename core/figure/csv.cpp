#include <utf8proc.h>

#include <charconv>
#include <cmath>
#include <cstdio>
#include <span>

#include "core/error.h"
#include "core/figure/render.h"
#include "core/figure/text.h"
#include "core/trace/output_file.h"

namespace kappascope {
namespace {

constexpr std::size_t kBlock = 1 << 20;

// What CSV or TeX would take for its own, and what would be unseen or break a line.
bool must_be_escaped(std::int32_t code) {
  constexpr std::string_view kTaken = ",\"%#{}^";
  if (code < 0x80 && kTaken.find(static_cast<char>(code)) != std::string_view::npos) return true;
  const auto category = utf8proc_category(code);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
         category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

void put_code(std::string& out, unsigned code) {
  char text[8];
  std::snprintf(text, sizeof text, "\\u%04x", code);
  out += text;
}

// Text as a JSON string without its quotes, so that a field needs none and holds no line break,
// comma or character with a meaning in TeX: every reader finds the same fields.
void put_field(std::string& out, const std::string& field) {
  std::string_view text = field;
  while (!text.empty()) {
    const auto [code, length] = next_code(text);
    const std::string_view bytes = text.substr(0, length);
    text.remove_prefix(length);
    const auto found = std::string_view("\\\n\r\t").find(bytes);
    if (code < 0) {
      put_code(out, 0xFFFD);
    } else if (found != std::string_view::npos) {
      out += std::string("\\") + "\\nrt"[found];
    } else if (!must_be_escaped(code)) {
      out += bytes;
    } else if (code < 0x10000) {
      put_code(out, static_cast<unsigned>(code));
    } else {  // as UTF-16 has it
      put_code(out, 0xD800 + (static_cast<unsigned>(code - 0x10000) >> 10));
      put_code(out, 0xDC00 + (static_cast<unsigned>(code - 0x10000) & 0x3FF));
    }
  }
}

template <typename Number>
void put_field(std::string& out, Number value) {
  if constexpr (std::is_floating_point_v<Number>) {
    if (std::isnan(value)) return;
  }
  char text[64];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

void put_header(std::string& out, const Table& table, char separator) {
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    if (c > 0) out += separator;
    put_field(out, table.columns[c].name);
  }
}

void put_row(std::string& out, const Table& table, std::int64_t row, char separator) {
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const Column& column = table.columns[c];
    if (c > 0) out += separator;
    std::visit(
        [&](const auto& values) {
          if (values.empty()) return;
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
    if (block.size() >= kBlock) flush();
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
