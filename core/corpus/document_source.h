// One opened file as its documents: what each form of text is to the reader of a corpus.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/corpus/corpus_files.h"
#include "core/corpus/documents.h"

namespace kappascope {

class DocumentSource {
 public:
  virtual ~DocumentSource() = default;
  // False: the end. Fills all but the index of a document that is wanted; one that is not is only
  // passed. Whatever is thrown ends the file.
  virtual bool next(bool wanted, Document& document) = 0;
  virtual std::uint64_t consumed() const = 0;  // bytes of the file
};

// The fields that a corpus takes from a document.
struct CorpusFields {
  std::string text, domain;  // domain "": none
  bool chats = false;        // the text is the whole line, which is JSON
};

// Each opens the file. Errors: io, damaged, unsupported.
std::unique_ptr<DocumentSource> open_text(const std::string& file, Packing packing);
std::unique_ptr<DocumentSource> open_json_lines(const std::string& file, Packing packing,
                                                const CorpusFields& fields);
std::unique_ptr<DocumentSource> open_csv(const std::string& file, Packing packing,
                                         const CorpusFields& fields);
std::unique_ptr<DocumentSource> open_parquet(const std::string& file, const CorpusFields& fields);

// Refuses what is no UTF-8 (damaged), with the offset in the text; `before` is added to it.
void require_utf8(std::string_view text, std::string_view source, std::uint64_t before = 0);

// Refuses a text over kLongestDocument (damaged).
void require_length(std::uint64_t length, std::string_view source);

// Runs `fill`, which fills the document. An Error becomes the document's failure.
template <typename Fill>
void fill_document(Document& document, const Fill& fill) {
  try {
    fill();
  } catch (const Error& error) {
    document.failure = error.failure();
    document.text.clear();
  }
}

}  // namespace kappascope
