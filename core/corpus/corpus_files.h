// Which files a corpus has, and what the end of a name says about a file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/corpus/byte_source.h"

namespace kappascope {

enum class TextForm : std::uint8_t {
  text,        // the whole file is one document
  json_lines,  // a document per line
  csv,         // a document per record, with a header
  parquet      // a document per row
};

// By the end of the name, in capitals or not: .jsonl, .ndjson, .csv, .parquet; each but the last
// also with .gz or .zst behind it. A packed .json is JSON Lines, as the large corpora name them;
// everything else is text. `known` is false where no ending names the form: neither one of those
// nor .txt, .text, .md, .rst or .tex.
struct FileForm {
  TextForm form = TextForm::text;
  Packing packing = Packing::none;
  bool known = false;
};
FileForm file_form(std::string_view path);

// The documents of such a file have fields, one of which is the text.
bool has_fields(std::string_view path);

// The files in a folder and the folders below it, in the order of their names; hidden ones are left
// out. Cannot be read: io.
std::vector<std::string> files_below(const std::string& folder);

}  // namespace kappascope
