#include <algorithm>
#include <utility>

#include "core/corpus/document_source.h"
#include "core/corpus/text_stream.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

constexpr std::size_t kMostFields = 1 << 16;  // of a record: a field takes 32 bytes even if empty

// One record: fields between commas; a quoted one may have commas, quotes (doubled) and line
// breaks.
struct CsvRecord {
  std::int64_t line = 0;  // where it begins, from 1
  std::vector<std::string> fields;
  bool after_quote = false;  // text stands behind a closing quote

  bool quoted = false;  // a field is
};

// Records (RFC 4180) of a stream, whose blocks may end anywhere. Lines may end with \n alone.
class CsvRecords {
 public:
  CsvRecords(const std::string& file, Packing packing) : stream_(file, packing) {}

  // False at the end; blank lines are left out. What leaves open where the next record begins is
  // thrown (damaged): a record that is too long or has too many fields, a quote that is not closed.
  bool next(CsvRecord& record) {
    while (find(record)) {
      const bool blank = record.fields.size() == 1 && record.fields[0].empty() && !record.quoted;
      if (!blank) { return true; }
    }
    return false;
  }

  const TextStream& stream() const { return stream_; }
  std::string source(const CsvRecord& record) const {
    return join_words(stream_.path(), ":", record.line);
  }

 private:
  enum class At : std::uint8_t {
    begin,
    plain,
    quoted,
    quote
  };  // of a field; a quote inside quotes

  bool find(CsvRecord& record) {
    record.fields.assign(1, "");
    record.after_quote = record.quoted = false;
    record.line = line_;
    at_ = At::begin;
    length_ = 0;
    for (bool begun = false;; begun = true) {
      if (rest_.empty()) { rest_ = stream_.next(); }
      if (rest_.empty()) {
        require(at_ != At::quoted, ExitCode::damaged, {.file = source(record)},
                "expected a quote that closes the field, found the end of the file");
        end_record(record);
        return begun;
      }
      if (at_ == At::quoted) {
        take_quoted(record);
      } else if (take_unquoted(record)) {
        return true;
      }
    }
  }

  // Up to the next quote, and the quote.
  void take_quoted(CsvRecord& record) {
    const std::string_view part = rest_.substr(0, rest_.find('"'));
    line_ += std::count(part.begin(), part.end(), '\n');
    append(record, part);
    rest_.remove_prefix(part.size());
    if (rest_.empty()) { return; }
    rest_.remove_prefix(1);
    at_ = At::quote;
  }

  // A character that means something, or all up to the next one; true at the end of the record.
  bool take_unquoted(CsvRecord& record) {
    const char unit = rest_.front();
    if (unit == '"' && at_ != At::plain) {
      if (at_ == At::quote) { append(record, "\""); }  // a doubled one
      at_ = At::quoted;
      record.quoted = true;
    } else if (unit == ',') {
      add_field(record);
    } else if (unit == '\n') {
      ++line_;
      end_record(record);
    } else if (at_ == At::quote) {
      record.after_quote = record.after_quote || unit != '\r';
    } else {
      take_part(record);
      return false;
    }
    rest_.remove_prefix(1);
    return unit == '\n';
  }

  // The characters of a field without quotes that are there; a quote among them means nothing.
  void take_part(CsvRecord& record) {
    const auto end = std::find_if(rest_.begin(), rest_.end(),
                                  [](char unit) { return unit == ',' || unit == '\n'; });
    const auto length = static_cast<std::size_t>(end - rest_.begin());
    append(record, rest_.substr(0, length));
    rest_.remove_prefix(length);
    at_ = At::plain;
  }

  void append(CsvRecord& record, std::string_view part) {
    length_ += part.size();
    if (length_ > kLongestDocument) { require_length(length_, source(record)); }
    record.fields.back() += part;
  }

  void add_field(CsvRecord& record) {
    if (record.fields.size() == kMostFields) {
      fail(ExitCode::damaged, {.file = source(record)}, "expected at most ", kMostFields,
           " fields, found more");
    }
    record.fields.emplace_back();
    at_ = At::begin;
  }

  // Lines may end with \r\n.
  void end_record(CsvRecord& record) const {
    std::string& field = record.fields.back();
    if (at_ == At::plain && field.ends_with('\r')) { field.pop_back(); }
  }

  TextStream stream_;
  std::string_view rest_;  // of the block
  At at_ = At::begin;
  std::int64_t line_ = 1;
  std::uint64_t length_ = 0;  // of the record
};

// The names of the columns, as an error shows them.
std::string names_of(const std::vector<std::string>& columns) {
  constexpr std::size_t kMostShown = 20;
  std::string names;
  for (std::size_t i = 0; i < std::min(columns.size(), kMostShown); ++i) {
    names += join_words(i == 0 ? "\"" : ", \"", columns[i], "\"");
  }
  return columns.size() > kMostShown ? names + ", …" : names;
}

class CsvDocuments final : public DocumentSource {
 public:
  CsvDocuments(const std::string& file, Packing packing, const CorpusFields& fields)
      : records_(file, packing) {
    require(records_.next(record_), ExitCode::damaged, {.file = file},
            "expected a line with the names of the columns, found none");
    columns_ = std::ssize(record_.fields);
    text_ = column_of(fields.text);
    require(text_ >= 0, ExitCode::damaged, {.file = file}, "expected a column \"", fields.text,
            "\", found ", names_of(record_.fields));
    if (!fields.domain.empty()) { domain_ = column_of(fields.domain); }
  }

  bool next(bool wanted, Document& document) override {
    if (!records_.next(record_)) { return false; }
    if (!wanted) { return true; }
    document.source = records_.source(record_);
    fill_document(document, [&] { fill(document); });
    return true;
  }
  std::uint64_t consumed() const override { return records_.stream().consumed(); }

 private:
  std::ptrdiff_t column_of(const std::string& name) const {
    const auto& names = record_.fields;
    const auto found = std::find(names.begin(), names.end(), name);
    require(std::count(found, names.end(), name) < 2, ExitCode::damaged,
            {.file = records_.stream().path()}, "expected one column \"", name,
            "\", found several");
    return found == names.end() ? -1 : found - names.begin();
  }

  void fill(Document& document) {
    const Place place{.file = document.source};
    require(!record_.after_quote, ExitCode::damaged, place,
            "expected a comma or the end of the line after a closing quote, found other text");
    require(std::ssize(record_.fields) == columns_, ExitCode::damaged, place, "expected ", columns_,
            " fields as in the first line, found ", record_.fields.size());
    require_utf8(record_.fields[text_], document.source);
    if (domain_ >= 0) {
      const std::string& domain = record_.fields[domain_];
      if (is_utf8(domain)) { document.domain = domain; }
    }
    document.text = std::move(record_.fields[text_]);
  }

  CsvRecords records_;
  CsvRecord record_;
  std::ptrdiff_t columns_ = 0, text_ = -1, domain_ = -1;  // number; places, −1: none
};

}  // namespace

std::unique_ptr<DocumentSource> open_csv(const std::string& file, Packing packing,
                                         const CorpusFields& fields) {
  return std::make_unique<CsvDocuments>(file, packing, fields);
}

}  // namespace kappascope
