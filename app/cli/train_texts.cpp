#include "app/cli/train_texts.h"

#include <filesystem>

#include "app/cli/text_files.h"
#include "core/checkpoint/json.h"
#include "core/tokenizer/tokenizer.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

void take_checked(std::string_view text, const std::string& source, const TakeDocument& take) {
  const std::size_t valid = utf8_error(text);
  require(valid == text.size(), ExitCode::damaged,
          {.file = source, .offset = static_cast<std::int64_t>(valid)},
          "not UTF-8; expected a text, found byte 0x",
          valid < text.size() ? hex_text(text.substr(valid, 1)) : "");
  if (!text.empty()) { take(text, source); }
}

}  // namespace

bool has_lines(const std::string& file) {
  return file.ends_with(".jsonl") || file.ends_with(".ndjson");
}

std::vector<std::string> training_files(const std::vector<std::string>& given) {
  std::vector<std::string> files;
  for (const std::string& path : given) {
    std::error_code ignored;
    const bool folder = fs::is_directory(path, ignored);
    if (!folder && fs::exists(path, ignored)) {
      require(is_regular_file(path), ExitCode::usage, {.file = path},
              "--text: expected a file that can be read again");
    }
    for (const std::string& file : folder ? files_below(path) : std::vector{path}) {
      files.push_back(fs::absolute(file).lexically_normal().string());
    }
  }
  require(!files.empty(), ExitCode::unsupported, {.file = given.front()},
          "expected a text, found none in it");
  return files;
}

void read_documents(const std::vector<std::string>& files, const std::string& field,
                    const TakeDocument& take) {
  for (const std::string& file : files) {
    const std::string bytes = read_input(file);
    std::string_view text = bytes;
    take_byte_order_mark(text);
    if (!has_lines(file)) {
      take_checked(text, file, take);
      continue;
    }
    for (const TextLine& line : lines_of(text)) {
      const std::string source = join_words(file, ":", line.number);
      const Json document = parse_json(text.substr(line.offset, line.length), source);
      const bool found =
          document.is_object() && document.contains(field) && document[field].is_string();
      require(found, ExitCode::damaged, {.file = source}, "expected an object with a text \"",
              field, "\", found none");
      take_checked(document[field].get_ref<const std::string&>(), source, take);
    }
  }
}

}  // namespace kappascope
