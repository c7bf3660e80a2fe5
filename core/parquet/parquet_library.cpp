// The library that reads Parquet files with Apache Arrow: one factory; every failure leaves as a
// value.
#include <arrow/array.h>
#include <arrow/compute/cast.h>
#include <arrow/compute/exec.h>
#include <arrow/io/file.h>
#include <arrow/record_batch.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>

#include <algorithm>
#include <exception>
#include <numeric>
#include <utility>
#include <vector>

#include "core/corpus/parquet.h"

namespace kappascope {
namespace {

constexpr std::int64_t kBatchRows = 64;  // documents in memory at a time

// Arrow tells more on further lines.
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

void check(const arrow::Status& status, const std::string& file) {
  if (status.ok()) { return; }
  const ExitCode code = status.IsOutOfMemory()      ? ExitCode::memory
                        : status.IsIOError()        ? ExitCode::io
                        : status.IsNotImplemented() ? ExitCode::unsupported
                                                    : ExitCode::damaged;
  fail(code, {.file = file}, "cannot be read as Parquet: ", first_line(status.message()));
}

template <typename Value>
Value value_of(arrow::Result<Value> result, const std::string& file) {
  check(result.status(), file);
  return std::move(result).ValueUnsafe();
}

// Parquet's own layer throws: its files are as hostile as others.
template <typename Work>
Failure guarded(const std::string& file, Work&& work) noexcept {
  try {
    try {
      work();
      return {};
    } catch (const parquet::ParquetException& error) {
      fail(ExitCode::damaged, {.file = file},
           "cannot be read as Parquet: ", first_line(error.what()));
    }
  } catch (...) { return failure_in_flight(); }
}

std::string names_of(const parquet::SchemaDescriptor& schema) {
  constexpr int kMostShown = 20;
  std::string names;
  for (int i = 0; i < std::min(schema.num_columns(), kMostShown); ++i) {
    names += join_words(i == 0 ? "\"" : ", \"", schema.Column(i)->path()->ToDotString(), "\"");
  }
  return schema.num_columns() > kMostShown ? names + ", …" : names;
}

// A column, in no group or in structs: names from the outside in. `index` −1: none.
struct ColumnPlace {
  int index = -1;
  std::vector<std::string> path = {};
};

// Of that very name, else of names with dots between them; one inside a list is none.
ColumnPlace column_of(const parquet::SchemaDescriptor& schema, const std::string& name) {
  ColumnPlace inside;
  for (int i = 0; i < schema.num_columns(); ++i) {
    const parquet::ColumnDescriptor& column = *schema.Column(i);
    const std::vector<std::string> path = column.path()->ToDotVector();
    if (path.size() == 1 && path[0] == name) { return {i, path}; }
    const bool same = column.max_repetition_level() == 0 && column.path()->ToDotString() == name;
    if (same && inside.index < 0) { inside = {i, path}; }
  }
  return inside;
}

bool is_text(arrow::Type::type type) {
  using Type = arrow::Type;
  return type == Type::STRING || type == Type::LARGE_STRING || type == Type::STRING_VIEW ||
         type == Type::BINARY || type == Type::LARGE_BINARY || type == Type::BINARY_VIEW;
}

class ArrowFile final : public ParquetFile {
 public:
  explicit ArrowFile(const ParquetCall& call) : call_(call) {
    parquet::ReaderProperties reading(arrow::system_memory_pool());
    reading.enable_buffered_stream();  // else it reads a column of a row group as a whole
    parquet::ArrowReaderProperties forms(/*use_threads=*/false);
    forms.set_batch_size(kBatchRows);
    forms.set_pre_buffer(false);
    parquet::arrow::FileReaderBuilder builder;
    check(builder.OpenFile(call_.file, /*memory_map=*/false, reading), call_.file);
    builder.memory_pool(arrow::system_memory_pool())->properties(forms);
    reader_ = value_of(builder.Build(), call_.file);
    const parquet::FileMetaData& meta = *reader_->parquet_reader()->metadata();
    all_rows_ = meta.num_rows();
    text_place_ = column_of(*meta.schema(), call_.text_field);
    require(text_place_.index >= 0, ExitCode::damaged, {.file = call_.file}, "expected a column \"",
            call_.text_field, "\", found ", names_of(*meta.schema()));
    if (!call_.domain_field.empty()) {
      domain_place_ = column_of(*meta.schema(), call_.domain_field);
    }
    std::vector<int> groups(static_cast<std::size_t>(meta.num_row_groups()));
    std::iota(groups.begin(), groups.end(), 0);
    std::vector<int> columns{text_place_.index};
    if (domain_place_.index >= 0 && domain_place_.index != text_place_.index) {
      columns.push_back(domain_place_.index);
    }
    batches_ = value_of(reader_->GetRecordBatchReader(groups, columns), call_.file);
  }

  Failure next(ParquetRow& row) noexcept override {
    return guarded(call_.file, [&] { row = read_row(); });
  }
  double share_read() const noexcept override {
    return all_rows_ > 0 ? static_cast<double>(rows_) / static_cast<double>(all_rows_) : 1;
  }

 private:
  ParquetRow read_row() {
    while (!text_ || at_ == text_->length()) {
      std::shared_ptr<arrow::RecordBatch> batch;
      check(batches_->ReadNext(&batch), call_.file);
      if (!batch) { return {}; }
      take(*batch);
    }
    ParquetRow row{.found = true, .has_text = text_->IsValid(at_)};
    if (row.has_text) { row.text = text_->GetView(at_); }
    if (domain_ && domain_->IsValid(at_)) { row.domain = domain_->GetView(at_); }
    ++at_;
    ++rows_;
    return row;
  }

  void take(const arrow::RecordBatch& batch) {
    at_ = 0;
    const auto text = column_in(batch, text_place_.path);
    require(text != nullptr, ExitCode::damaged, {.file = call_.file}, "no column \"",
            call_.text_field, "\" in a row group");
    auto type = text->type();
    if (type->id() == arrow::Type::DICTIONARY) {
      type = static_cast<const arrow::DictionaryType&>(*type).value_type();
    }
    require(is_text(type->id()), ExitCode::damaged, {.file = call_.file}, "column \"",
            call_.text_field, "\"; expected texts, found ", type->ToString());
    text_ = bytes_of(*text);
    const auto domain = domain_place_.index < 0 ? nullptr : column_in(batch, domain_place_.path);
    domain_ = domain ? bytes_of(*domain) : nullptr;
  }

  // A row whose struct is null has null there, too. nullptr: none.
  std::shared_ptr<arrow::Array> column_in(const arrow::RecordBatch& batch,
                                          const std::vector<std::string>& path) const {
    std::shared_ptr<arrow::Array> column = batch.GetColumnByName(path[0]);
    for (std::size_t i = 1; i < path.size() && column; ++i) {
      if (column->type_id() != arrow::Type::STRUCT) { return nullptr; }
      const int field =
          static_cast<const arrow::StructType&>(*column->type()).GetFieldIndex(path[i]);
      if (field < 0) { return nullptr; }
      const auto& outer = static_cast<const arrow::StructArray&>(*column);
      column = value_of(outer.GetFlattenedField(field, arrow::system_memory_pool()), call_.file);
    }
    if (column && column->type_id() == arrow::Type::EXTENSION) {  // JSON, UUID: as it is stored
      return static_cast<const arrow::ExtensionArray&>(*column).storage();
    }
    return column;
  }

  // Numbers and dates as text, too. As bytes: what is no UTF-8 is the failure of its row alone.
  std::shared_ptr<arrow::LargeBinaryArray> bytes_of(const arrow::Array& column) {
    arrow::compute::ExecContext context(arrow::system_memory_pool());
    context.set_use_threads(false);
    const auto cast = [&](const arrow::Array& from, const std::shared_ptr<arrow::DataType>& to) {
      return value_of(
          arrow::compute::Cast(from, to, arrow::compute::CastOptions::Unsafe(), &context),
          call_.file);
    };
    std::shared_ptr<arrow::Array> values = arrow::MakeArray(column.data());
    if (column.type_id() == arrow::Type::DICTIONARY) {
      values =
          cast(*values, static_cast<const arrow::DictionaryType&>(*column.type()).value_type());
    }
    if (!is_text(values->type_id())) { values = cast(*values, arrow::large_utf8()); }
    return std::static_pointer_cast<arrow::LargeBinaryArray>(cast(*values, arrow::large_binary()));
  }

  ParquetCall call_;
  ColumnPlace text_place_, domain_place_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;  // outlives what it has given
  std::unique_ptr<arrow::RecordBatchReader> batches_;
  std::shared_ptr<arrow::LargeBinaryArray> text_, domain_;  // of the batch
  std::int64_t at_ = 0;                                     // row of the batch
  std::int64_t rows_ = 0, all_rows_ = 0;
};

}  // namespace
}  // namespace kappascope

extern "C" __attribute__((visibility("default"))) bool kappascope_parquet(
    std::uint32_t version, const kappascope::ParquetCall* call,
    std::unique_ptr<kappascope::ParquetFile>* opened, kappascope::Failure* failure) {
  if (version != kappascope::kParquetVersion) { return false; }
  *failure = kappascope::guarded(call->file,
                                 [&] { *opened = std::make_unique<kappascope::ArrowFile>(*call); });
  return true;
}
