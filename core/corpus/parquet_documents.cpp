#include <dlfcn.h>

#include <filesystem>

#include "core/checkpoint/input_file.h"
#include "core/corpus/document_source.h"
#include "core/corpus/parquet.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

// Never closed: the files that it has opened use it.
void* open_arrow(const std::string& for_file) {
  const fs::path library =
      fs::read_symlink("/proc/self/exe").parent_path() / "libkappascope_arrow.so";
  std::error_code ignored;
  require(fs::exists(library, ignored), ExitCode::unsupported, {.file = for_file},
          "this kappascope is built without Apache Arrow, which reads Parquet; "
          "`KAPPASCOPE_ARROW=ON make build` builds it with, or convert the file to .jsonl or .csv");
  void* const opened = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!opened) {
    const char* const reason = dlerror();
    fail(ExitCode::unsupported, {.file = for_file},
         "the library that reads Parquet does not open: ", reason ? reason : "no reason given",
         "; `make build` builds it again");
  }
  return opened;
}

std::unique_ptr<ParquetFile> open_rows(const ParquetCall& call) {
  void* const library = open_arrow(call.file);  // that it is open already costs nothing
  using Open = decltype(&kappascope_parquet);
  const auto open = reinterpret_cast<Open>(dlsym(library, "kappascope_parquet"));
  std::unique_ptr<ParquetFile> opened;
  Failure failure;
  if (!open || !open(kParquetVersion, &call, &opened, &failure)) {
    fail(ExitCode::internal, {.file = call.file}, "version of libkappascope_arrow.so; expected ",
         kParquetVersion, ", found another: build it again");
  }
  if (failure) { throw Error(failure); }
  return opened;
}

class ParquetDocuments final : public DocumentSource {
 public:
  ParquetDocuments(const std::string& file, const CorpusFields& fields)
      : file_(InputFile::open(file)), rows_(open_rows({file, fields.text, fields.domain})) {}

  bool next(bool wanted, Document& document) override {
    ParquetRow row;
    if (const Failure failure = rows_->next(row); failure) { throw Error(failure); }
    ++number_;
    if (!row.found || !wanted) { return row.found; }
    document.source = join_words(file_.path(), ": row ", number_);
    fill_document(document, [&] {
      require(row.has_text, ExitCode::damaged, {.file = document.source},
              "expected a text, found null");
      require_length(row.text.size(), document.source);
      require_utf8(row.text, document.source);
      if (is_utf8(row.domain)) { document.domain = row.domain; }
      document.text = row.text;
    });
    return true;
  }
  std::uint64_t consumed() const override {
    return static_cast<std::uint64_t>(rows_->share_read() * static_cast<double>(file_.size()));
  }

 private:
  InputFile file_;  // opened first: it refuses what is no regular file in the usual words
  std::unique_ptr<ParquetFile> rows_;
  std::int64_t number_ = -1;
};

}  // namespace

std::unique_ptr<DocumentSource> open_parquet(const std::string& file, const CorpusFields& fields) {
  return std::make_unique<ParquetDocuments>(file, fields);
}

}  // namespace kappascope
