#include "core/trace/csv_rows.h"

#include <charconv>
#include <cmath>
#include <span>

#include "core/csv_text.h"

namespace kappascope {
namespace {

constexpr std::size_t kFlushAt = 1 << 18;

}  // namespace

void CsvRows::text(std::string_view value) {
  separate();
  put_csv_text(written_, value);
}

void CsvRows::truth(bool value) {
  separate();
  written_ += value ? "true" : "false";
}

void CsvRows::integer(std::int64_t value) {
  separate();
  put(value);
}

void CsvRows::index(std::int64_t value) {
  separate();
  if (value >= 0) { put(value); }
}

void CsvRows::number(float value) {
  separate();
  if (!std::isnan(value)) { put(value); }
}

void CsvRows::number(double value) {
  separate();
  if (!std::isnan(value)) { put(value); }
}

void CsvRows::end_row() {
  written_ += line_end_;
  row_started_ = false;
}

void CsvRows::separate() {
  if (row_started_) { written_ += separator_; }
  row_started_ = true;
}

template <typename T>
void CsvRows::put(T value) {
  char digits[64];
  written_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

void CsvFile::end_row() {
  CsvRows::end_row();
  if (written().size() >= kFlushAt) { flush(); }
}

void CsvFile::finish() {
  flush();
  file_.finish();
}

void CsvFile::flush() {
  file_.write_at(offset_, std::as_bytes(std::span(written())));
  offset_ += written().size();
  written().clear();
}

}  // namespace kappascope
