#include "core/chat/nanochat.h"

#include <algorithm>
#include <utility>

#include "core/utf8.h"

namespace kappascope {
namespace {

constexpr std::string_view kNoWords = "...";  // of a user who says nothing

class MessageReader {
 public:
  explicit MessageReader(std::string_view source) : source_(source) {}

  std::vector<ChatMessage> read(const Json& messages) {
    std::vector<ChatMessage> result;
    for (const Json& json : messages) {
      ChatMessage message{json["role"].get<std::string>(), {}};
      const Json* content = value_at(json, "content");
      if (content != nullptr && content->is_array()) {
        for (const Json& part : *content) { message.parts.push_back(read_part(part)); }
      } else if (content != nullptr) {
        require(content->is_string(), ExitCode::damaged, {.file = source_}, "message ",
                result.size(), ": expected a text or a list of parts as content, found ",
                found_text(*content));
        std::string text = content->get<std::string>();
        if (!text.empty()) { message.parts.push_back({ChatPart::Kind::text, std::move(text)}); }
      }
      result.push_back(std::move(message));
    }
    return result;
  }

 private:
  ChatPart read_part(const Json& json) const {
    const Json* text = json.is_object() ? value_at(json, "text") : nullptr;
    const Json* type = json.is_object() ? value_at(json, "type") : nullptr;
    require(text != nullptr && text->is_string() && type != nullptr && type->is_string(),
            ExitCode::damaged, {.file = source_},
            "a part of a message: expected an object with the texts \"type\" and \"text\", found ",
            found_text(json));
    const auto& kind = type->get_ref<const std::string&>();
    const bool known = kind == "text" || kind == "python" || kind == "python_output";
    require(known, ExitCode::unsupported, {.file = source_},
            "a part of a message: expected the type text, python or python_output, found ",
            found_text(*type));
    return {kind == "text"     ? ChatPart::Kind::text
            : kind == "python" ? ChatPart::Kind::python
                               : ChatPart::Kind::python_output,
            text->get<std::string>()};
  }

  std::string_view source_;
};

// Those of one role that follow each other as one.
std::vector<ChatMessage> joined(const std::vector<ChatMessage>& messages) {
  std::vector<ChatMessage> result;
  for (const ChatMessage& message : messages) {
    if (result.empty() || result.back().role != message.role) {
      result.push_back(message);
      continue;
    }
    auto& parts = result.back().parts;
    parts.insert(parts.end(), message.parts.begin(), message.parts.end());
  }
  return result;
}

// The texts of a user's message as one.
std::string words_of_user(const std::vector<ChatPart>& parts) {
  std::string text;
  for (const ChatPart& part : parts) {
    if (part.kind != ChatPart::Kind::text || part.text.empty()) { continue; }
    text += join_words(text.empty() ? "" : "\n\n", part.text);
  }
  return text.empty() ? std::string(kNoWords) : text;
}

// Of a message of at most one part, which is a text.
bool is_plain(const ChatMessage& message) {
  return message.parts.empty() ||
         (message.parts.size() == 1 && message.parts[0].kind == ChatPart::Kind::text);
}
std::string text_of_message(const ChatMessage& message) {
  return message.parts.empty() ? "" : message.parts[0].text;
}

class NanochatRenderer {
 public:
  NanochatRenderer(const Tokenizer& tokenizer, std::string_view source)
      : tokenizer_(tokenizer), source_(source) {}

  ChatTokens run(const std::vector<ChatMessage>& messages, ChatUse use) {
    add_special("<|bos|>", false);
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const ChatMessage& message = messages[i];
      const char* const expected = i % 2 == 0 ? "user" : "assistant";
      require(message.role == expected, ExitCode::unsupported, {.file = source_}, "message ", i,
              ": expected the role ", expected, ", found \"", message.role, "\"");
      if (i % 2 == 0) {
        require(is_plain(message), ExitCode::unsupported, {.file = source_}, "message ", i,
                ": expected one text of a user, found ", message.parts.size(), " parts");
        enclosed("user", text_of_message(message), false);
      } else {
        add_special("<|assistant_start|>", false);
        for (const ChatPart& part : message.parts) { add_part(part); }
        add_special("<|assistant_end|>", true);
      }
    }
    if (use == ChatUse::prompt) { add_special("<|assistant_start|>", false); }
    return std::move(tokens_);
  }

 private:
  void add_part(const ChatPart& part) {
    if (part.kind == ChatPart::Kind::text) { return add_text(part.text, true); }
    const bool output = part.kind == ChatPart::Kind::python_output;
    enclosed(output ? "output" : "python", part.text, !output);
  }

  void enclosed(std::string_view name, const std::string& text, bool assistant) {
    add_special(join_words("<|", name, "_start|>"), assistant);
    add_text(text, assistant);
    add_special(join_words("<|", name, "_end|>"), assistant);
  }

  void add(const Token& token, bool assistant) {
    tokens_.tokens.push_back(token);
    tokens_.assistant.push_back(assistant ? 1 : 0);
  }

  // At no place of the text, as BOS; but places count it as it is spelled.
  void add_special(const std::string& name, bool assistant) {
    const auto id = tokenizer_.special(name);
    require(id.has_value(), ExitCode::unsupported, {.file = source_},
            "a chat needs the special token ", name, ", which the tokenizer does not have");
    add({*id, -1, -1}, assistant);
    characters_ += std::int32_t(name.size());
  }

  void add_text(const std::string& text, bool assistant) {
    for (Token token : tokenizer_.encode_ordinary(text, source_)) {
      token.char_start += characters_;
      token.char_end += characters_;
      add(token, assistant);
    }
    characters_ += std::int32_t(std::count_if(text.begin(), text.end(), starts_utf8));
  }

  const Tokenizer& tokenizer_;
  std::string_view source_;
  ChatTokens tokens_;
  std::int32_t characters_ = 0;  // of the chat so far, special tokens spelled out
};

// A system's message in front becomes the beginning of the user's.
std::vector<ChatMessage> with_system(std::vector<ChatMessage> messages, std::string_view source) {
  if (messages.empty() || messages.front().role != "system") { return messages; }
  const bool follows = messages.size() > 1 && messages[1].role == "user" && is_plain(messages[0]) &&
                       is_plain(messages[1]);
  require(follows, ExitCode::unsupported, {.file = source},
          "expected a user's text after the system's, found none");
  messages[1].parts = {{ChatPart::Kind::text, join_words(text_of_message(messages[0]), "\n\n",
                                                         text_of_message(messages[1]))}};
  messages.erase(messages.begin());
  return messages;
}

}  // namespace

std::vector<ChatMessage> in_turns(const std::vector<ChatMessage>& messages, ChatUse use) {
  std::vector<ChatMessage> rest = messages, result;
  if (!rest.empty() && rest.front().role == "system") {
    result.push_back(rest.front());
    rest.erase(rest.begin());
  }
  std::vector<ChatMessage> turns = joined(rest);
  std::erase_if(turns, [](const ChatMessage& message) { return message.parts.empty(); });
  turns = joined(turns);
  for (ChatMessage& message : turns) {
    if (message.role != "user") { continue; }
    message.parts = {{ChatPart::Kind::text, words_of_user(message.parts)}};
  }
  if (!turns.empty() && turns.front().role != "user") {
    turns.insert(turns.begin(), {"user", {{ChatPart::Kind::text, std::string(kNoWords)}}});
  }
  const bool unanswered = turns.size() % 2 == 1 && turns.back().role == "user";
  if (unanswered && use == ChatUse::whole) { turns.pop_back(); }
  if (turns.empty()) { return messages; }
  result.insert(result.end(), turns.begin(), turns.end());
  return result;
}

ChatTokens render_nanochat(const Json& messages, const Tokenizer& tokenizer,
                           std::string_view source, ChatUse use) {
  std::vector<ChatMessage> turns = in_turns(MessageReader(source).read(messages), use);
  NanochatRenderer renderer(tokenizer, source);
  return renderer.run(with_system(std::move(turns), source), use);
}

}  // namespace kappascope
