#include "core/csv_text.h"

#include <utf8proc.h>

#include <cstdio>

#include "core/utf8.h"

namespace kappascope {
namespace {

// A spreadsheet runs a field that begins with one of these and goes on.
constexpr std::string_view kFormula = "=+-@";

// What CSV or TeX would take for its own, and what would be unseen or break a line.
bool must_be_escaped(std::int32_t code) {
  constexpr std::string_view kTaken = ",\"%#{}^";
  if (code < 0x80 && kTaken.find(static_cast<char>(code)) != std::string_view::npos) {
    return true;
  }
  const auto category = utf8proc_category(code);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
         category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

void put_code(std::string& out, unsigned code) {
  char text[16];
  std::snprintf(text, sizeof text, "\\u%04x", code);
  out += text;
}

}  // namespace

void put_csv_text(std::string& out, std::string_view text) {
  if (text.size() > 1 && kFormula.find(text.front()) != kFormula.npos) {
    put_code(out, static_cast<unsigned char>(text.front()));
    text.remove_prefix(1);
  }
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    const std::string_view bytes = text.substr(at, point.length == 0 ? 1 : point.length);
    at += bytes.size();
    const std::size_t found = std::string_view("\\\n\r\t").find(bytes);
    const auto code = static_cast<std::uint32_t>(point.value);
    if (point.length == 0) {
      put_code(out, 0xFFFD);
    } else if (found != std::string_view::npos) {
      out += std::string("\\") + "\\nrt"[found];
    } else if (!must_be_escaped(static_cast<std::int32_t>(code))) {
      out += bytes;
    } else if (code < 0x10000) {
      put_code(out, code);
    } else {  // as UTF-16 has it
      put_code(out, 0xD800 + ((code - 0x10000) >> 10));
      put_code(out, 0xDC00 + ((code - 0x10000) & 0x3FF));
    }
  }
}

std::vector<std::vector<std::string>> csv_rows(std::string_view text) {
  std::vector<std::vector<std::string>> rows{{""}};
  bool inside = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char unit = text[at];
    if (unit == '"' && inside && text.substr(at + 1, 1) == "\"") {
      rows.back().back() += text[++at];
    } else if (unit == '"') {
      inside = !inside;
    } else if (inside || (unit != ',' && unit != '\r' && unit != '\n')) {
      rows.back().back() += unit;
    } else if (unit == ',') {
      rows.back().emplace_back();
    } else if (unit == '\n') {
      rows.push_back({""});
    }
  }
  const std::vector<std::string>& last = rows.back();
  if (last.size() == 1 && last[0].empty()) { rows.pop_back(); }
  return rows;
}

}  // namespace kappascope
