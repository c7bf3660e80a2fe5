#include "app/cli/train_texts.h"

#include <filesystem>

#include "app/cli/text_files.h"
#include "core/corpus/documents.h"

namespace kappascope {

std::vector<std::string> training_files(const std::vector<std::string>& given) {
  for (const std::string& path : given) {
    std::error_code ignored;
    const bool readable = is_regular_file(path) || std::filesystem::is_directory(path, ignored);
    require(readable || (path != kStandardInput && !std::filesystem::exists(path, ignored)),
            ExitCode::usage, {.file = path}, "--text: expected a file that can be read again");
  }
  return corpus_files(given);
}

void read_documents(const std::vector<std::string>& files, const std::string& field,
                    const TakeDocument& take) {
  DocumentReader reader({.files = files, .text_field = field});
  for (Document document; reader.next(document);) {
    if (document.failure) { throw Error(document.failure); }
    if (!document.text.empty()) { take(document.text, document.source); }
  }
}

}  // namespace kappascope
