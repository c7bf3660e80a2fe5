#include <algorithm>
#include <array>
#include <charconv>

#include "core/checkpoint/input_file.h"
#include "core/checkpoint/other_format.h"
#include "core/tokenizer/tokenizer_file.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLongestConfig = std::uint64_t{64} << 20;  // bytes

// The names of the special tokens, in the order in which they are added.
constexpr std::array<const char*, 7> kNamedTokens = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

class ConfigReader {
 public:
  ConfigReader(const Json& root, std::string path, TokenBook& book, TokenizerFile& file)
      : root_(root), path_(std::move(path)), book_(book), file_(file) {}

  void run() {
    read_decoder_table();
    for (const char* name : kNamedTokens) { add_named(value_at(root_, name), name); }
    for (const auto& [name, value] : root_.items()) {
      if (is_other_token(name, value)) { add_named(&value, name); }
    }
    for (const char* name : {"additional_special_tokens", "extra_special_tokens"}) {
      add_list(name);
    }
    file_.find_special = !flag("split_special_tokens").value_or(false);
  }

  void run_ends() {
    if (flag("add_bos_token").value_or(false) && value_at(root_, "bos_token") != nullptr) {
      file_.prefix.push_back(named_id("bos_token"));
    }
    if (flag("add_eos_token").value_or(false) && value_at(root_, "eos_token") != nullptr) {
      file_.suffix.push_back(named_id("eos_token"));
    }
  }

 private:
  std::optional<bool> flag(const char* name) const {
    const Json* found = value_at(root_, name);
    if (found == nullptr) { return {}; }
    require(found->is_boolean(), ExitCode::damaged, {path_}, name,
            "; expected true or false, found ", found_text(*found));
    return found->get<bool>();
  }

  // "<s>" or {"content": "<s>", …}.
  AddedToken read_token(const Json& json, std::string_view name) const {
    const Json* content = json.is_object() ? value_at(json, "content") : &json;
    require(content != nullptr && content->is_string(), ExitCode::damaged, {path_}, name,
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

  // added_tokens_decoder: {"0": {"content": …}, …}; in the order of the ids.
  void read_decoder_table() {
    const Json* table = value_at(root_, "added_tokens_decoder");
    if (table == nullptr) { return; }
    require(table->is_object(), ExitCode::damaged, {path_},
            "added_tokens_decoder; expected an object, found ", found_text(*table));
    std::vector<std::pair<std::int64_t, AddedToken>> tokens;
    for (const auto& [key, value] : table->items()) {
      std::int64_t id = -1;
      const auto end = std::from_chars(key.data(), key.data() + key.size(), id);
      require(end.ec == std::errc() && end.ptr == key.data() + key.size() && value.is_object(),
              ExitCode::damaged, {path_},
              "added_tokens_decoder; expected objects with ids as their keys, found \"", key, "\"");
      AddedToken token = read_token(value, "added_tokens_decoder");
      const Json* special = value_at(value, "special");
      token.special = special != nullptr && *special == true;
      tokens.emplace_back(id, std::move(token));
    }
    std::sort(tokens.begin(), tokens.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    for (auto& [id, token] : tokens) { book_.add(std::move(token), id, path_, file_); }
  }

  // A token that the file has keeps the flags that the file gives it.
  void add_named(const Json* json, std::string_view name) {
    if (json == nullptr) { return; }
    AddedToken token = read_token(*json, name);
    const bool known =
        std::any_of(file_.added.begin(), file_.added.end(),
                    [&](const AddedToken& added) { return added.text == token.text; });
    token.special = true;
    token.normalized = false;
    if (!known) { book_.add(std::move(token), {}, path_, file_); }
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

  std::int32_t named_id(const char* name) const {
    return book_.id(read_token(*value_at(root_, name), name).text, file_).value_or(0);
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

std::optional<bool> tokenizer_config_flag(const fs::path& config, const char* name) {
  const Json root = read_config(config);
  const Json* found = root.is_null() ? nullptr : value_at(root, name);
  if (found == nullptr) { return {}; }
  require(found->is_boolean(), ExitCode::damaged, {config.native()}, name,
          "; expected true or false, found ", found_text(*found));
  return found->get<bool>();
}

void apply_tokenizer_config(const fs::path& config, TokenBook& book, TokenizerFile& file) {
  const Json root = read_config(config);
  if (!root.is_null()) { ConfigReader(root, config.string(), book, file).run(); }
}

void apply_bos_and_eos(const fs::path& config, TokenBook& book, TokenizerFile& file) {
  const Json root = read_config(config);
  if (!root.is_null()) { ConfigReader(root, config.string(), book, file).run_ends(); }
}

}  // namespace kappascope
