#include <algorithm>
#include <array>
#include <charconv>

#include "core/checkpoint/input_file.h"
#include "core/checkpoint/other_format.h"
#include "core/tokenizer/tokenizer_file.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

constexpr const char *kAddedFile = "added_tokens.json",
                     *kSpecialTokensMap = "special_tokens_map.json";
constexpr std::uint64_t kLongestConfig = std::uint64_t{64} << 20;  // bytes

// The names of the special tokens, in the order in which they are added.
constexpr std::array<const char*, 7> kNamedTokens = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

// Null is false.
std::optional<bool> flag_of(const Json& root, const char* name, std::string_view path) {
  if (root.is_null() || !root.contains(name)) { return {}; }
  const Json& found = root[name];
  require(found.is_boolean() || found.is_null(), ExitCode::damaged, {path}, name,
          "; expected true or false, found ", found_text(found));
  return found == true;
}

// "<s>" or {"content": "<s>", …}.
AddedToken read_token(const Json& json, std::string_view name, std::string_view path) {
  const Json* content = json.is_object() ? value_at(json, "content") : &json;
  require(content != nullptr && content->is_string(), ExitCode::damaged, {path}, name,
          R"(; expected a text or an object with "content", found )", found_text(json));
  AddedToken token;
  token.text = content->get<std::string>();
  const auto is = [&](const char* field, bool absent) {
    const Json* found = json.is_object() ? value_at(json, field) : nullptr;
    return found != nullptr && found->is_boolean() ? found->get<bool>() : absent;
  };
  token.special = is("special", true);
  token.normalized = is("normalized", !token.special);
  token.single_word = is("single_word", false);
  token.left_strip = is("lstrip", false);
  token.right_strip = is("rstrip", false);
  return token;
}

// added_tokens_decoder: {"0": {"content": …}, …}.
std::vector<std::pair<std::int64_t, AddedToken>> decoder_table(const Json& root,
                                                               std::string_view path) {
  std::vector<std::pair<std::int64_t, AddedToken>> tokens;
  const Json* table = root.is_null() ? nullptr : value_at(root, "added_tokens_decoder");
  if (table == nullptr) { return tokens; }
  require(table->is_object(), ExitCode::damaged, {path},
          "added_tokens_decoder; expected an object, found ", found_text(*table));
  for (const auto& [key, value] : table->items()) {
    std::int64_t id = -1;
    const auto end = std::from_chars(key.data(), key.data() + key.size(), id);
    require(end.ec == std::errc() && end.ptr == key.data() + key.size() && value.is_object(),
            ExitCode::damaged, {path},
            "added_tokens_decoder; expected objects with ids as their keys, found \"", key, "\"");
    AddedToken token = read_token(value, "added_tokens_decoder", path);
    const Json* special = value_at(value, "special");
    token.special = special != nullptr && *special == true;
    tokens.emplace_back(id, std::move(token));
  }
  return tokens;
}

class ConfigReader {
 public:
  ConfigReader(const Json& root, std::string path, TokenBook& book, TokenizerFile& file)
      : root_(root), path_(std::move(path)), book_(book), file_(file) {}

  // `added`: added_tokens.json, of before there was a decoder table; null without.
  void run(const Json& added) {
    add_by_id(decoder_table(root_, path_));
    read_added(added);
    for (const char* name : kNamedTokens) { add_named(value_at(root_, name), name); }
    for (const auto& [name, value] : root_.items()) {
      if (is_other_token(name, value)) { add_named(&value, name); }
    }
    for (const char* name : {"additional_special_tokens", "extra_special_tokens"}) {
      add_list(name);
    }
    file_.find_special = !flag_of(root_, "split_special_tokens", path_).value_or(false);
  }

 private:
  void add_by_id(std::vector<std::pair<std::int64_t, AddedToken>> tokens) {
    std::sort(tokens.begin(), tokens.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    for (auto& [id, token] : tokens) { book_.add(std::move(token), id, path_, file_); }
  }

  // {"<x>": 32000, …}. Special are those that the configuration names; what the file itself says of
  // a token counts more.
  void read_added(const Json& added) {
    std::vector<std::pair<std::int64_t, AddedToken>> tokens;
    for (const auto& [text, id] : added.items()) {
      require(id.is_number_integer(), ExitCode::damaged, {path_}, kAddedFile,
              ": expected ids, found ", found_text(id));
      if (is_added(text)) { continue; }
      AddedToken token;
      token.text = text;
      token.special = names(text);
      token.normalized = !token.special;
      tokens.emplace_back(id.get<std::int64_t>(), std::move(token));
    }
    add_by_id(std::move(tokens));
  }

  // Whether `text` is one of the special tokens of the configuration.
  bool names(const std::string& text) const {
    const auto is = [&](const Json& json) {
      const Json* content = json.is_object() ? value_at(json, "content") : &json;
      return content != nullptr && *content == text;
    };
    const auto named = [&](const char* name) {
      const Json* value = value_at(root_, name);
      return value != nullptr && is(*value);
    };
    const Json* others = value_at(root_, "extra_special_tokens");
    if (others == nullptr) { others = value_at(root_, "additional_special_tokens"); }
    return std::any_of(kNamedTokens.begin(), kNamedTokens.end(), named) ||
           (others != nullptr && others->is_array() &&
            std::any_of(others->begin(), others->end(), is));
  }

  // A token that the file has keeps the flags that the file gives it.
  void add_named(const Json* json, std::string_view name) {
    if (json == nullptr) { return; }
    AddedToken token = read_token(*json, name, path_);
    token.special = true;
    token.normalized = false;
    if (!is_added(token.text)) { book_.add(std::move(token), {}, path_, file_); }
  }

  bool is_added(const std::string& text) const {
    return std::any_of(file_.added.begin(), file_.added.end(),
                       [&](const AddedToken& added) { return added.text == text; });
  }

  // "image_token": "<image>" and what else a model has of its own.
  static bool is_other_token(const std::string& name, const Json& value) {
    const bool named =
        std::find(kNamedTokens.begin(), kNamedTokens.end(), name) != kNamedTokens.end();
    return !named && name.ends_with("_token") && value.is_string();
  }

  // A list of tokens, or an object of them by their names.
  void add_list(const char* name) {
    const Json* list = value_at(root_, name);
    if (list == nullptr || !list->is_structured()) { return; }
    for (const Json& token : *list) { add_named(&token, name); }
  }

  const Json& root_;
  std::string path_;
  TokenBook& book_;
  TokenizerFile& file_;
};

}  // namespace

namespace {

// Null when the file is missing.
Json read_config(const fs::path& config) {
  std::error_code ignored;
  if (config.empty() || !fs::exists(config, ignored)) { return {}; }
  const InputFile input = InputFile::open(config);
  Json root = with_format(input, Expected::json, [&] {
    return parse_json(read_text(input, kLongestConfig), input.path(), NotFinite::numbers);
  });
  require(root.is_object(), ExitCode::damaged, {input.path()}, "expected an object, found ",
          found_text(root));
  return root;
}

}  // namespace

std::array<fs::path, 2> files_beside_config(const fs::path& config) {
  return {config.parent_path() / kSpecialTokensMap, config.parent_path() / kAddedFile};
}

TokenizerConfig::TokenizerConfig(const fs::path& path) : path_(path), root_(read_config(path)) {}

std::map<std::int64_t, std::string> TokenizerConfig::added_texts() const {
  std::map<std::int64_t, std::string> texts;
  for (auto& [id, token] : decoder_table(root_, path_.native())) {
    texts[id] = std::move(token.text);
  }
  return texts;
}

std::optional<bool> TokenizerConfig::flag(const char* name) const {
  return flag_of(root_, name, path_.native());
}

void TokenizerConfig::apply(TokenBook& book, TokenizerFile& file) const {
  if (path_.empty()) { return; }
  Json root = root_.is_null() ? Json::object() : root_, added;
  if (!root.contains("added_tokens_decoder")) {
    const Json specials = read_config(files_beside_config(path_)[0]);
    for (const auto& [name, value] : specials.items()) { root[name] = value; }
    added = read_config(files_beside_config(path_)[1]);
  }
  ConfigReader(root, path_.string(), book, file).run(added);
}

void TokenizerConfig::apply_ends(const std::string& bos, const std::string& eos,
                                 const TokenBook& book, TokenizerFile& file) const {
  if (root_.is_null()) { return; }
  const auto add = [&](const char* wanted, const char* name, const std::string& otherwise,
                       std::vector<std::int32_t>& ids) {
    const Json* named = value_at(root_, name);
    const bool known = named != nullptr || (!root_.contains(name) && !otherwise.empty());
    if (!flag(wanted).value_or(false) || !known) { return; }
    const std::string text = named ? read_token(*named, name, path_.native()).text : otherwise;
    ids.push_back(book.id(text, file).value_or(0));
  };
  add("add_bos_token", "bos_token", bos, file.prefix);
  add("add_eos_token", "eos_token", eos, file.suffix);
}

}  // namespace kappascope
