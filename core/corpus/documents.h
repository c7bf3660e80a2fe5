// The documents of a corpus, one after another: text files, JSON Lines, CSV and Parquet.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"

namespace kappascope {

struct CorpusSource {
  std::vector<std::string> files;  // as corpus_files() has them
  // Of a line of JSON Lines; the column of CSV and Parquet. Where none has that very name, dots
  // lead into objects and structs: "metadata.source".
  std::string text_field = "text";
  std::string domain_field;    // "": none
  std::int64_t documents = 0;  // at most so many, of those that are taken; 0: all
  std::uint64_t sample_seed = 0;
  bool chats = false;       // documents are chats: Document::text is the JSON of a line
  double sample_share = 1;  // in (0,1]: a hash of (seed, index) says which documents are taken
};

struct Document {
  std::int64_t index = -1;  // among all documents of the corpus, taken or not; −1: a file's failure
  std::string source;       // FILE; FILE:LINE, where it begins, from 1; "FILE: row N", from 0
  std::string text;         // UTF-8; may be empty
  std::string domain;  // what domain_field has there; "": nothing, or neither UTF-8 nor a number
  Failure failure;     // why it cannot be used; `text` is empty then
};

// Absolute paths in the order of what was given: files as they are, of folders and the folders
// below them those whose names say that they are texts (file_form()), and what patterns with * ? []
// name. Nothing given: usage. Not there, a pattern that names nothing: io. A folder without a text:
// unsupported.
std::vector<std::string> corpus_files(const std::vector<std::string>& given);

// Reads documents in the order of the files. What it holds at a time is a document and a few
// blocks of a file, however long the file is and whatever a packed one unpacks to.
class DocumentReader {
 public:
  // A share outside (0,1]: usage.
  explicit DocumentReader(const CorpusSource& source);
  ~DocumentReader();
  DocumentReader(const DocumentReader&) = delete;
  DocumentReader& operator=(const DocumentReader&) = delete;

  // False: the end, or `documents` were given. A document that cannot be used is given with its
  // failure: damaged (no UTF-8, no JSON, no such field, over 256 MiB), unsupported. A file that
  // cannot be read, or not to its end, gives one more whose index is −1 (io, damaged; unsupported:
  // a Parquet file in a program without Arrow), whatever is sampled, and the next file goes on.
  // `check` is called before every document, wanted or not; what it throws comes out, and the next
  // call goes on.
  bool next(Document& document, const std::function<void()>& check = {});

  // Bytes of the files, packed as they are, that were passed, and of all of them.
  std::uint64_t bytes_read() const;
  std::uint64_t bytes_total() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kappascope
