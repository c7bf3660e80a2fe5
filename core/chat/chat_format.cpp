#include "core/chat/chat_format.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/chat/nanochat.h"
#include "core/chat/template_lexer.h"
#include "core/checkpoint/input_file.h"
#include "core/checkpoint/tensor.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLongestSettings = std::uint64_t{64} << 20;  // bytes
constexpr const char* kTemplateFile = "chat_template.jinja";
constexpr const char* kSettingsFile = "tokenizer_config.json";
constexpr const char* kSpecialsFile = "special_tokens_map.json";
constexpr std::string_view kTemplateMember = "chat_template";

bool is_there(const fs::path& file) {
  std::error_code ignored;
  return fs::exists(file, ignored);
}

// Null where the file is missing.
Json read_settings(const fs::path& file) {
  if (!is_there(file)) { return {}; }
  const InputFile input = InputFile::open(file);
  Json root = parse_json(read_text(input, kLongestSettings), input.path(), NotFinite::numbers);
  require(root.is_object(), ExitCode::damaged, {.file = input.path()}, "expected an object, found ",
          found_text(root));
  return root;
}

// The texts of the named special tokens: "<s>" or {"content": "<s>", …}.
void put_specials(const Json& settings, std::map<std::string, std::string>& variables) {
  static constexpr std::array<const char*, 7> kNames{
      "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
  if (!settings.is_object()) { return; }
  for (const char* name : kNames) {
    const Json* value = value_at(settings, name);
    if (value != nullptr && value->is_object()) { value = value_at(*value, "content"); }
    if (value == nullptr || !value->is_string()) { continue; }
    variables.emplace(name, value->get<std::string>());
  }
}

// Of several templates the one called "default".
std::string template_of(const Json& value, std::string_view file) {
  if (value.is_string()) { return value.get<std::string>(); }
  for (const Json& one : value.is_array() ? value : Json::array()) {
    const Json* name = one.is_object() ? value_at(one, "name") : nullptr;
    const Json* text = one.is_object() ? value_at(one, "template") : nullptr;
    if (name == nullptr || *name != "default" || text == nullptr || !text->is_string()) {
      continue;
    }
    return text->get<std::string>();
  }
  fail(ExitCode::damaged, {.file = file}, kTemplateMember,
       ": expected a text, or a list with one called \"default\", found ", found_text(value));
}

// What a template renders by.
struct TemplateSource {
  std::string text, file;
  std::map<std::string, std::string> variables;

  std::string sha256(const std::string& date) const {
    return sha256_hex(text + Json(variables).dump(-1, ' ', true, Json::error_handler_t::replace) +
                      date);
  }
};

TemplateSource find_template(const fs::path& folder) {
  const fs::path settings_file = folder / kSettingsFile, template_file = folder / kTemplateFile;
  const Json settings = read_settings(settings_file);
  std::map<std::string, std::string> variables;
  // As the tokenizer is made of them: tokenizer_file.h.
  if (!settings.is_object() || !settings.contains("added_tokens_decoder")) {
    put_specials(read_settings(folder / kSpecialsFile), variables);
  }
  put_specials(settings, variables);
  if (is_there(template_file)) {
    const InputFile input = InputFile::open(template_file);
    return {read_text(input, kLongestTemplate), template_file.native(), std::move(variables)};
  }
  const Json* found = settings.is_object() ? value_at(settings, "chat_template") : nullptr;
  require(found != nullptr, ExitCode::unsupported, {.file = folder.native()},
          "no chat template; expected ", kTemplateFile, ", or \"", kTemplateMember, "\" in ",
          kSettingsFile, ", found neither", kTemplateRemedy);
  return {template_of(*found, settings_file.native()), settings_file.native(),
          std::move(variables)};
}

struct Chat {
  Json messages;  // a list of objects, each with a role
  Json tools;     // null: none
};

Chat read_chat(std::string_view document, std::string_view source) {
  Chat chat{parse_json(document, source), {}};
  if (chat.messages.is_object()) {
    const Json* inside = value_at(chat.messages, "messages");
    require(inside != nullptr, ExitCode::damaged, {.file = source},
            "expected an object with \"messages\", found none");
    if (const Json* tools = value_at(chat.messages, "tools")) { chat.tools = *tools; }
    Json messages = *inside;
    chat.messages = std::move(messages);
  }
  require(chat.messages.is_array() && !chat.messages.empty(), ExitCode::damaged, {.file = source},
          "expected a list of messages, found ", found_text(chat.messages));
  for (const Json& message : chat.messages) {
    const Json* role = message.is_object() ? value_at(message, "role") : nullptr;
    require(role != nullptr && role->is_string(), ExitCode::damaged, {.file = source},
            "expected messages with a text \"role\", found ", found_text(message));
  }
  return chat;
}

// As transformers gives messages to a template: without fields that are null, and with what the
// assistant thought under each of the names that templates know.
Json for_template(const Json& messages) {
  Json all = Json::array();
  for (const Json& message : messages) {
    Json& one = all.emplace_back(Json::object());
    for (const auto& [key, value] : message.items()) {
      if (!value.is_null()) { one[key] = value; }
    }
    for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
      const Json* thought = value_at(one, name);
      if (thought == nullptr) { continue; }
      const Json text = *thought;
      one.emplace("thinking", text);
      one["reasoning_content"] = text;
      break;
    }
  }
  return all;
}

// A token is the assistant's that holds part of what is, or ends it: a special token right behind.
ChatTokens render_template(const ChatTemplate& chat_template, const Chat& chat,
                           const Tokenizer& tokenizer, std::string_view source, ChatUse use) {
  const MarkedText text =
      chat_template.render(for_template(chat.messages), source, use == ChatUse::prompt, chat.tools);
  ChatTokens result{tokenizer.encode_ordinary(text.text, source), {}};
  std::vector<Token>& tokens = result.tokens;
  result.assistant.resize(tokens.size());
  CodePointCount places(text.text);
  std::size_t t = 0;
  for (const ByteRange& mark : text.marks) {
    const std::int32_t begin = places.before(mark.begin), end = places.before(mark.end);
    while (t < tokens.size() && tokens[t].char_start < begin && tokens[t].char_end <= begin) {
      ++t;
    }
    for (; t < tokens.size() && tokens[t].char_start < end; ++t) { result.assistant[t] = 1; }
    const bool ends =
        t < tokens.size() && tokens[t].char_start == end && tokenizer.is_special(tokens[t].id);
    if (ends && !chat_template.has_generation()) { result.assistant[t] = 1; }
  }
  // They stand for no text.
  for (Token& token : tokens) {
    if (tokenizer.is_special(token.id)) { token.char_start = token.char_end = -1; }
  }
  return result;
}

}  // namespace

ChatFormat ChatFormat::load(const fs::path& path) {
  const std::string kind = path.extension();
  ChatFormat format;
  if (kind == ".json" || kind == ".model") {
    TemplateSource source = find_template(path.parent_path());
    format.name_ = fs::path(source.file).filename().string();
    format.template_.emplace(source.text, source.file, source.variables);
    format.date_ = format.template_->date();
    format.sha256_ = source.sha256(format.date_);
  }
  return format;
}

ChatTokens ChatFormat::render(std::string_view document, const Tokenizer& tokenizer,
                              std::string_view source, ChatUse use) const {
  const Chat chat = read_chat(document, source);
  require(use == ChatUse::whole || chat.messages.back()["role"] == "user", ExitCode::unsupported,
          {.file = source}, "expected a user's message last, which the assistant answers; found ",
          found_text(chat.messages.back()["role"]));
  return template_ ? render_template(*template_, chat, tokenizer, source, use)
                   : render_nanochat(chat.messages, tokenizer, source, use);
}

}  // namespace kappascope
