#include "core/report/tables.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <type_traits>
#include <variant>

#include "core/figure/table_rows.h"
#include "core/figure/text.h"
#include "core/report/html.h"

namespace kappascope {
namespace {

bool holds_texts(const Column& column) {
  return std::holds_alternative<std::vector<std::string>>(column.values);
}

template <typename Number>
std::string exact_number(Number value) {
  if constexpr (std::is_floating_point_v<Number>) {
    if (std::isnan(value)) { return ""; }
    if (std::isinf(value)) {
      return value < 0 ? "-Infinity" : "Infinity";
    }  // as the script reads it
  }
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

// The number of a field, shortest form that reads back to the same; "": it has none.
std::string exact_field(const Column& column, std::int64_t row) {
  return std::visit(
      [&](const auto& values) -> std::string {
        using Value = typename std::decay_t<decltype(values)>::value_type;
        if constexpr (std::is_same_v<Value, std::string>) {
          return "";
        } else {
          if (values.empty()) { return ""; }
          return exact_number(
              values[static_cast<std::size_t>(row / column.repeat) % values.size()]);
        }
      },
      column.values);
}

std::string head_html(const ReportTable& of, const FindPlace& find) {
  std::string html = "<thead><tr>";
  for (std::size_t i = 0; i < of.table.columns.size(); ++i) {
    const Column& column = of.table.columns[i];
    const bool text = holds_texts(column);
    html += std::string("<th scope=\"col\"") + (text ? "" : " class=\"n\"") + " data-kind=\"" +
            (text ? "text" : "number") + "\" data-name=\"" + html_escaped(column.name) + "\">" +
            metric_link(column.name, find);
    if (i < of.units.size() && !of.units[i].empty()) {
      html += "<span class=\"unit\">" + html_escaped(of.units[i]) + "</span>";
    }
    html += "</th>";
  }
  return html + "</tr></thead>\n";
}

std::string field_html(const ReportTable& of, std::size_t i, std::int64_t row) {
  const Column& column = of.table.columns[i];
  const bool named = of.headed && i == 0;
  std::string html = named ? "<th scope=\"row\"" : "<td";
  if (!holds_texts(column)) { html += " class=\"n\""; }
  const std::string number = exact_field(column, row);
  if (!number.empty()) { html += " data-v=\"" + number + "\""; }
  return html + ">" + html_escaped(field_text(column, row)) + (named ? "</th>" : "</td>");
}

std::string rows_html(const ReportTable& of, std::int64_t shown) {
  std::string html = "<tbody>\n";
  for (std::int64_t row = 0; row < shown; ++row) {
    html += "<tr>";
    for (std::size_t i = 0; i < of.table.columns.size(); ++i) { html += field_html(of, i, row); }
    html += "</tr>\n";
  }
  return html + "</tbody>";
}

std::string row_count(std::int64_t rows) {
  return count_text(rows) + (rows == 1 ? " row" : " rows");
}

}  // namespace

std::string metric_link(const std::string& name, const FindPlace& find) {
  std::string words;
  for (const char c : html_escaped(name)) {
    words += c;
    if (c == '_' || c == '.') { words += "<wbr>"; }
  }
  const GlossaryPlace place = find(name);
  if (place.id.empty()) { return words; }
  return "<a href=\"#" + place.id + "\" title=\"" + html_escaped(place.brief) + "\">" + words +
         "</a>";
}

std::string table_html(const ReportTable& of, const FindPlace& find) {
  const std::int64_t rows = of.table.rows;
  const std::int64_t shown = of.most_rows > 0 ? std::min(rows, of.most_rows) : rows;
  const std::string title = html_escaped(of.title);
  std::string html;
  if (of.folded) { html += "<details><summary>" + title + ": " + row_count(rows) + "</summary>\n"; }
  // A region that can be scrolled has to be reached by the keyboard, too.
  html += "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"" + title + "\">\n" +
          "<table class=\"sortable\"><caption>" + title + "</caption>\n" + head_html(of, find) +
          rows_html(of, shown) + "</table></div>\n";
  if (shown < rows) {
    html += "<p class=\"quiet\">The first " + count_text(shown) + " of " + row_count(rows) +
            (of.all_rows.empty() ? "" : "; " + html_escaped(of.all_rows)) + ".</p>\n";
  }
  for (const std::string& note : of.notes) {
    html += "<p class=\"quiet\">" + html_escaped(note) + "</p>\n";
  }
  return html + (of.folded ? "</details>\n" : "");
}

}  // namespace kappascope
