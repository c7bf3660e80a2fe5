// Rows of fields as text: RFC 4180 for files, tabs for the clipboard.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/trace/output_file.h"

namespace kappascope {

// Texts are escaped so that no field needs quotes (put_csv_text).
class CsvRows {
 public:
  explicit CsvRows(char separator = ',', std::string_view line_end = "\r\n")
      : separator_(separator), line_end_(line_end) {}

  void text(std::string_view value);
  void truth(bool value);
  void integer(std::int64_t value);
  void index(std::int64_t value);  // an integer whose absence is −1: an empty field
  // The shortest text that reads back to the same value; NaN: an empty field.
  void number(float value);
  void number(double value);
  void absent() { separate(); }
  void end_row();

  std::string& written() { return written_; }

 private:
  void separate();
  template <typename T>
  void put(T value);

  std::string written_;
  char separator_;
  std::string line_end_;
  bool row_started_ = false;
};

// The same into a file, gathered in memory and written in blocks. `path` must not exist.
class CsvFile : public CsvRows {
 public:
  explicit CsvFile(const std::filesystem::path& path) : file_(path) {}

  void end_row();
  void finish();

 private:
  void flush();

  OutputFile file_;
  std::uint64_t offset_ = 0;
};

}  // namespace kappascope
