// A corpus in a folder of its own, and what is read from it as text.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/corpus/documents.h"
#include "tests/unit/packed.h"
#include "tests/unit/temp_folder.h"

namespace kappascope::testing {

class CorpusFolder : public TempFolder {
 public:
  std::string file(std::string_view name) const { return (*this / name).string(); }

  // Each document as "index source [domain] text" or "index source: code message", the folder's
  // path taken out.
  std::vector<std::string> read(const CorpusSource& source) const {
    DocumentReader reader(source);
    std::vector<std::string> found;
    for (Document document; reader.next(document);) { found.push_back(shown(document)); }
    EXPECT_EQ(reader.bytes_read(), reader.bytes_total());
    return found;
  }

  // One file with the usual fields.
  std::vector<std::string> read(const std::string& name, const std::string& text) const {
    write(name, text);
    return read({.files = {file(name)}, .domain_field = "domain"});
  }

  std::string shown(const Document& document) const {
    std::string line = std::to_string(document.index) + " " + document.source;
    if (document.failure) {
      EXPECT_EQ(document.text, "");
      line += " !" + std::to_string(static_cast<int>(document.failure.code)) + " " +
              document.failure.message;
    } else {
      line += " [" + document.domain + "] " + document.text;
    }
    return without_folder(std::move(line));
  }

  std::string without_folder(std::string line) const {
    const std::string folder = path().string() + "/";
    for (std::size_t at; (at = line.find(folder)) != line.npos;) { line.erase(at, folder.size()); }
    return line;
  }
};

using Lines = std::vector<std::string>;

}  // namespace kappascope::testing
