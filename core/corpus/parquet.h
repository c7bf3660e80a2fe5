// The border of the library that reads Parquet files: Apache Arrow is opened with the first of
// them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"

namespace kappascope {

inline constexpr std::uint32_t kParquetVersion = 1;  // of this header; a library of another refuses

struct ParquetRow {
  bool found = false;             // false: the end
  std::string_view text, domain;  // until the next call; not checked to be UTF-8
  bool has_text = false;          // false: it is null
};

// The columns of one file, a batch of rows in memory at a time.
class ParquetFile {
 public:
  virtual ~ParquetFile() = default;
  virtual Failure next(ParquetRow& row) noexcept = 0;
  virtual double share_read() const noexcept = 0;  // of the rows, 0 to 1
};

struct ParquetCall {
  std::string file, text_field, domain_field;  // domain_field "": none
};

}  // namespace kappascope

// Opens the file. False: another version. Failures: damaged (no Parquet, no such column, one that
// is no text), io, memory.
extern "C" bool kappascope_parquet(std::uint32_t version, const kappascope::ParquetCall* call,
                                   std::unique_ptr<kappascope::ParquetFile>* opened,
                                   kappascope::Failure* failure);
