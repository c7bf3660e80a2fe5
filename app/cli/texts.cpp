#include "app/cli/texts.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>

#include "core/checkpoint/folder.h"
#include "core/checkpoint/input_file.h"
#include "core/checkpoint/json.h"
#include "core/checkpoint/tensor.h"

namespace kappascope {
namespace {

constexpr std::uint64_t kLongestText = std::uint64_t(256) << 20;
constexpr const char* kBlanks = " \t\r\n";

std::string read_standard_input() {
  std::string text;
  std::array<char, 65536> block;
  for (;;) {
    const ssize_t count = read(STDIN_FILENO, block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    require(count >= 0, ExitCode::io, {.file = "standard input"},
            std::generic_category().message(errno));
    if (count == 0) return text;
    text.append(block.data(), std::size_t(count));
    require(text.size() <= kLongestText, ExitCode::damaged, {.file = "standard input"},
            "text too long; expected at most ", kLongestText, " bytes");
  }
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::vector<std::int64_t> ids_of_json(std::string_view text, const std::string& file) {
  const Json document = parse_json(text, file);
  const bool wrapped = document.is_object() && document.contains("token_id");
  const Json& list = wrapped ? document["token_id"] : document;
  require(list.is_array(), ExitCode::damaged, {.file = file},
          "token ids; expected an array or an object with \"token_id\"");
  std::vector<std::int64_t> ids;
  for (const Json& value : list) {
    require(value.is_number_integer(), ExitCode::damaged, {.file = file}, "token id at position ",
            ids.size(), "; expected an integer, found ", value.dump());
    const bool huge = value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX;
    ids.push_back(huge ? INT64_MAX : value.get<std::int64_t>());  // either is out of range
  }
  return ids;
}

std::vector<std::int64_t> ids_of_lines(std::string_view text, const std::string& file) {
  std::vector<std::int64_t> ids;
  for (std::int64_t line = 1; !text.empty(); ++line) {
    const std::size_t end = text.find('\n');
    const std::string_view word = trimmed(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (word.empty()) continue;
    std::int64_t id = 0;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    require(error == std::errc() && stop == word.data() + word.size(), ExitCode::damaged,
            {.file = file}, "line ", line, "; expected one token id, found '", word.substr(0, 40),
            "'");
    ids.push_back(id);
  }
  return ids;
}

// Texts of at most 256 MiB: a file that is longer is refused (damaged) before it is read.
SourceText read_text(const std::string& file) {
  if (file == "-") return {"standard input", read_standard_input()};
  return {file, read_text_file(file, kLongestText)};
}

// Ids from a file: a JSON array, an object with "token_id" (as `tokens --json` prints), or one a
// line. Nothing is put in front; bytes are those of `tokenizer` when there is one.
TokenizedText read_ids(const std::string& file, const Tokenizer* tokenizer, const Model& model,
                       std::int64_t max_tokens) {
  const SourceText source = read_text(file);
  const std::string_view text = trimmed(source.text);
  const bool json = !text.empty() && (text.front() == '[' || text.front() == '{');
  const std::vector<std::int64_t> ids =
      json ? ids_of_json(text, source.source) : ids_of_lines(source.text, source.source);
  require(!ids.empty(), ExitCode::unsupported, {.file = source.source},
          "expected at least one token id, found none");
  std::vector<Token> tokens;
  std::string decimals;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    check_id(ids[t], t, model, source.source);
    tokens.push_back({.id = std::int32_t(ids[t])});
    decimals += join_words(t == 0 ? "" : " ", ids[t]);
  }
  TokenizedText result = with_bytes(std::move(tokens), tokenizer, max_tokens);
  result.document = {.source = source.source, .sha256 = sha256_hex(decimals)};
  return result;
}

}  // namespace

void TextOptions::add_to(CLI::App& app) {
  app.add_option("-p,--prompt", prompt, "the text itself");
  app.add_option("-f,--file", files, "a UTF-8 file with the text, - for standard input")
      ->allow_extra_args(false);
  app.add_option("--ids", ids_file, "a file of token ids instead of a text: JSON or one a line");
  app.add_option("--max-tokens", max_tokens, "use only the first N tokens (BOS counted)")
      ->check(CLI::Range(std::int64_t(1), std::int64_t(1) << 31));
  app.add_option("--tokenizer", tokenizer_folder, "folder of tokenizer.pkl");
}

void TextOptions::check() const {
  const int kinds = int(prompt.has_value()) + int(!files.empty()) + int(!ids_file.empty());
  require(kinds == 1, ExitCode::usage, {}, "expected exactly one of -p TEXT, ",
          "-f FILE and --ids FILE, found ", kinds);
  require(std::count(files.begin(), files.end(), "-") <= 1, ExitCode::usage, {},
          "-f -: standard input can be read once");
}

std::optional<Tokenizer> TextOptions::open_tokenizer(const Model& model) const {
  std::optional<std::filesystem::path> path;
  if (ids_file.empty())
    path = find_tokenizer(model.files.weights.parent_path(), tokenizer_folder);
  else
    path = tokenizer_if_any(model, tokenizer_folder);
  if (!path) return {};
  return Tokenizer::load_tiktoken_pickle(*path);
}

TokenizedText TextOptions::read(const std::string& source, const Tokenizer* tokenizer,
                                const Model& model) const {
  if (!ids_file.empty()) return read_ids(ids_file, tokenizer, model, max_tokens);
  const SourceText text = prompt ? SourceText{"prompt", *prompt} : read_text(source);
  return tokenize(text, *tokenizer, model, max_tokens);
}

}  // namespace kappascope
