#include "app/cli/texts.h"

#include <algorithm>
#include <charconv>

#include "app/cli/command_line.h"
#include "app/cli/terminal.h"
#include "core/checkpoint/folder.h"
#include "core/checkpoint/json.h"
#include "core/checkpoint/tensor.h"

namespace kappascope {
namespace {

std::vector<std::int64_t> ids_of_json(const Json& document, const std::string& source) {
  const bool wrapped = document.is_object() && document.contains("token_id");
  const Json& list = wrapped ? document["token_id"] : document;
  require(list.is_array(), ExitCode::damaged, {.file = source},
          "token ids; expected an array or an object with \"token_id\"");
  std::vector<std::int64_t> ids;
  for (const Json& value : list) {
    require(value.is_number_integer(), ExitCode::damaged, {.file = source}, "token id at position ",
            ids.size(), "; expected an integer, found ", value.dump());
    const bool huge = value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX;
    ids.push_back(huge ? INT64_MAX : value.get<std::int64_t>());  // either is out of range
  }
  return ids;
}

std::vector<std::int64_t> ids_of_lines(std::string_view text, const std::string& source) {
  std::vector<std::int64_t> ids;
  for (const TextLine& line : lines_of(text)) {
    const std::string_view word = trimmed(text.substr(line.offset, line.length));
    std::int64_t id = 0;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    require(error == std::errc() && stop == word.data() + word.size(), ExitCode::damaged,
            {.file = source}, "line ", line.number, "; expected one token id, found '",
            word.substr(0, 40), "'");
    ids.push_back(id);
  }
  return ids;
}

void keep_if_read_once(TextItem& item) {
  if (item.line || item.kept || is_regular_file(item.file)) { return; }
  item.kept = std::make_shared<const std::string>(read_input(item.file));
}

// The bytes of an item: of the whole file or of its line.
std::string bytes_of(const TextItem& item) {
  if (!item.line) { return item.kept ? *item.kept : read_input(item.file); }
  if (item.kept) { return item.kept->substr(item.line->offset, item.line->length); }
  const auto bytes =
      InputFile::open(item.file).read(item.line->offset, item.line->length, "a line of the file");
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The document of a line, whose "id", a text or an integer, becomes the item's.
Json parse_line(std::string_view text, TextItem& item) {
  if (item.line->offset == 0) { take_byte_order_mark(text); }
  Json document = parse_json(text, join_words(source_name(item.file), ":", item.line->number));
  if (!document.is_object() || !document.contains("id")) { return document; }
  const Json& id = document["id"];
  if (id.is_string()) { item.id = id.get<std::string>(); }
  if (id.is_number_integer()) { item.id = id.dump(); }
  return document;
}

bool is_model(const std::string& path) {
  try {
    find_checkpoint(path);
    return true;
  } catch (const Error&) { return false; }
}

bool named_json_lines(const std::string& file) {
  return file.ends_with(".jsonl") || file.ends_with(".ndjson");
}

}  // namespace

void check_only(const std::string& only, bool chat) {
  require(only.empty() || chat, ExitCode::usage, {}, "--only ", only,
          " is for chats: give them with --chat");
}

std::string TextItem::source() const {
  if (file.empty()) { return "prompt"; }
  if (!line) { return source_name(file); }
  return id.empty() ? join_words(source_name(file), ":", line->number)
                    : join_words(source_name(file), "#", id);
}

void TextOptions::add_to(CLI::App& app) {
  app.add_option("-p,--prompt", prompt, "the text itself");
  app.add_option("-f,--file", files,
                 "UTF-8 files with a text each, or folders of them; - for standard input");
  app.add_option("--files-from", list_file,
                 "a list of such files, one per line; - for standard input");
  app.add_option("--text-field", text_field,
                 "read .jsonl files as one text per line: the line's field of this name");
  app.add_flag("--chat", chat,
               "files are chats, in a .jsonl file each line: JSON with \"messages\", rendered as "
               "the tokenizer does");
  app.add_option("--ids", ids_files,
                 "files of token ids instead of texts: JSON or one id per line; in a .jsonl file "
                 "each line is a text");
  app.add_option("--max-tokens", max_tokens, "use only the first N tokens of a text (BOS counted)")
      ->check(CLI::Range(std::int64_t(1), std::int64_t(1) << 31));
  app.add_option("--tokenizer", tokenizer_folder,
                 "tokenizer.pkl, tokenizer.json or tokenizer.model, or the folder of one");
}

void TextOptions::take_model(std::string& model) {
  if (!model.empty()) { return; }
  for (std::vector<std::string>* values : {&files, &ids_files}) {
    if (values->size() < 2) { continue; }
    const auto found = std::find_if(values->rbegin(), values->rend(), is_model);
    if (found == values->rend()) { continue; }
    model = *found;
    values->erase(std::prev(found.base()));
    return;
  }
  fail(ExitCode::usage, {}, "MODEL is required: a model folder or a model_NNNNNN.pt");
}

void TextOptions::check() const {
  const bool any_files = !files.empty() || !list_file.empty();
  const int kinds = int(prompt.has_value()) + int(any_files) + int(!ids_files.empty());
  require(kinds == 1, ExitCode::usage, {}, "expected exactly one of -p TEXT, ",
          "-f FILE (or --files-from LIST) and --ids FILE, found ", kinds);
  require(text_field.empty() || any_files, ExitCode::usage, {},
          "--text-field is for -f FILE.jsonl");
  require(!chat || (any_files && text_field.empty()), ExitCode::usage, {},
          "--chat is for -f FILE, and reads \"messages\": expected neither -p, --ids nor "
          "--text-field");
  std::vector<std::string> inputs = files;
  inputs.insert(inputs.end(), ids_files.begin(), ids_files.end());
  inputs.push_back(list_file);
  require(std::count_if(inputs.begin(), inputs.end(), is_standard_input) <= 1, ExitCode::usage, {},
          "-f -: standard input can be read once");
}

void warn_of_date(const ChatFormat& chat, Terminal& terminal) {
  if (chat.date().empty()) { return; }
  terminal.warn(join_words(chat.name(), " asks for today's date and is given ", chat.date(),
                           "; SOURCE_DATE_EPOCH sets another"));
}

TextTokenizer TextOptions::open_tokenizer(const std::filesystem::path& file,
                                          Terminal& terminal) const {
  TextTokenizer opened{Tokenizer::load(file), std::nullopt};
  if (chat) { warn_of_date(opened.chat.emplace(ChatFormat::load(file)), terminal); }
  return opened;
}

std::optional<TextTokenizer> TextOptions::open_tokenizer(const Model& model,
                                                         Terminal& terminal) const {
  std::optional<std::filesystem::path> path;
  if (ids_files.empty()) {
    path = find_tokenizer(model.files.weights.parent_path(), tokenizer_folder);
  } else {
    path = tokenizer_if_any(model, tokenizer_folder);
  }
  if (!path) { return {}; }
  return open_tokenizer(*path, terminal);
}

bool TextOptions::has_lines(const std::string& file) const {
  if (!ids_files.empty()) { return named_json_lines(file); }
  if (chat) { return named_json_lines(file); }
  // The name of a pipe does not say.
  return !text_field.empty() && (named_json_lines(file) || !is_regular_file(file));
}

void TextOptions::add_items(const std::string& file, std::vector<TextItem>& items) const {
  std::error_code ignored;
  if (!has_lines(file) || !std::filesystem::exists(file == kStandardInput ? "/" : file, ignored)) {
    return items.push_back({file, {}, {}, {}});
  }
  std::shared_ptr<const std::string> kept;
  std::vector<TextLine> lines;
  if (is_regular_file(file)) {
    lines = lines_of(InputFile::open(file));
  } else {
    kept = std::make_shared<const std::string>(read_input(file));
    lines = lines_of(*kept);
  }
  for (const TextLine& line : lines) { items.push_back({file, line, {}, kept}); }
}

std::vector<TextItem> TextOptions::list(Terminal& terminal) const {
  std::vector<TextItem> items;
  if (prompt) { return {TextItem{}}; }
  std::vector<std::string> given = ids_files.empty() ? files : ids_files;
  if (!list_file.empty()) {
    const std::vector<std::string> listed = read_list(list_file);
    given.insert(given.end(), listed.begin(), listed.end());
  }
  bool any_lines = false;
  for (const std::string& path : given) {
    std::error_code ignored;
    const bool folder = ids_files.empty() && std::filesystem::is_directory(path, ignored);
    for (const std::string& file : folder ? files_below(path) : std::vector{path}) {
      const std::size_t before = items.size();
      add_items(file, items);
      any_lines = any_lines || has_lines(file);
      if (items.size() == before) { terminal.warn(describe({.file = file}, "no line in it")); }
      if (named_json_lines(file) && !has_lines(file)) {
        terminal.warn(describe({.file = file},
                               "JSON Lines, read as one text; --text-field NAME reads each line's "
                               "field of that name as a text"));
      }
    }
  }
  require(!items.empty(), ExitCode::unsupported,
          {.file = given.empty() ? list_file : given.front()}, "expected a text, found none in it");
  require(text_field.empty() || any_lines, ExitCode::usage, {},
          "--text-field: expected a .jsonl file or a pipe among the texts, found none");
  return items;
}

bool TextOptions::names_several() const {
  const auto several = [this](const std::string& file) {
    std::error_code ignored;
    return has_lines(file) || (ids_files.empty() && std::filesystem::is_directory(file, ignored));
  };
  const std::vector<std::string>& given = ids_files.empty() ? files : ids_files;
  return given.size() > 1 || !list_file.empty() || std::any_of(given.begin(), given.end(), several);
}

TokenizedText TextOptions::read_ids(TextItem& item, std::string_view bytes,
                                    const Tokenizer* tokenizer, const Model& model) const {
  std::vector<std::int64_t> ids;
  take_byte_order_mark(bytes);
  const std::string_view text = trimmed(bytes);
  if (item.line) {
    ids = ids_of_json(parse_line(text, item), item.source());
  } else if (text.starts_with('[') || text.starts_with('{')) {
    ids = ids_of_json(parse_json(text, item.source()), item.source());
  } else {
    ids = ids_of_lines(bytes, item.source());
  }
  return tokens_of_ids(ids, item.source(), tokenizer, model, max_tokens);
}

TokenizedText TextOptions::read(TextItem& item, const TextTokenizer* tokenizer, const Model& model,
                                Terminal* terminal) const {
  if (ids_files.empty()) {
    const Tokenizer& ours = tokenizer->tokenizer;
    const SourceText text = read_text(item, ours, terminal);
    return tokenizer->chat
               ? tokenize_chat(text, *tokenizer->chat, ours, model, max_tokens, chat_use)
               : tokenize(text, ours, model, max_tokens);
  }
  keep_if_read_once(item);
  return read_ids(item, bytes_of(item), tokenizer ? &tokenizer->tokenizer : nullptr, model);
}

SourceText TextOptions::read_text(TextItem& item, const Tokenizer& tokenizer,
                                  Terminal* terminal) const {
  if (prompt) { return {"prompt", *prompt}; }
  keep_if_read_once(item);
  std::string text = bytes_of(item);
  if (chat) {
    std::string_view rest = text;
    take_byte_order_mark(rest);
    if (item.line) { parse_line(rest, item); }
    return {item.source(), std::string(rest)};
  }
  if (item.line) {
    const Json document = parse_line(text, item);
    const bool found =
        document.is_object() && document.contains(text_field) && document[text_field].is_string();
    require(found, ExitCode::damaged, {.file = item.source()}, "expected an object with a text \"",
            text_field, "\", found none");
    text = document[text_field].get<std::string>();
  }
  const std::string source = item.source();
  std::string_view rest = text;
  if (terminal && text.empty() && !tokenizer.encode("").empty()) {
    terminal->warn(describe({.file = source}, "the text is empty: the model is fed BOS alone"));
  }
  if (terminal && take_byte_order_mark(rest)) {
    terminal->warn(describe({.file = source},
                            "begins with a byte order mark, which the model is fed as text; "
                            "`sed '1s/^\\xEF\\xBB\\xBF//'` removes it"));
  }
  return {source, std::move(text)};
}

}  // namespace kappascope
