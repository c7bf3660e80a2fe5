// Chats as the tokenizer's own code makes tokens of them, with which tokens are the assistant's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/chat/chat_template.h"
#include "core/tokenizer/tokenizer.h"

namespace kappascope {

struct ChatTokens {
  std::vector<Token> tokens;            // [T] as the model is fed them
  std::vector<std::uint8_t> assistant;  // [T] 1: the assistant's
};

// Of a chat all as it is, or as a prompt: what the assistant is to answer to, with what it begins
// by.
enum class ChatUse : std::uint8_t { whole, prompt };

class ChatFormat {
 public:
  // Of the tokenizer in `path`. tokenizer.pkl: nanochat's (nanochat.h). Others: the folder's chat
  // template, chat_template.jinja or "chat_template" of tokenizer_config.json. There is none, or
  // not one of the plain forms: unsupported.
  static ChatFormat load(const std::filesystem::path& path);

  // `document`: JSON, an object with "messages" or the list of them, each with a text "role".
  // Something else: damaged; what the format or the tokenizer does not have: unsupported.
  ChatTokens render(std::string_view document, const Tokenizer& tokenizer, std::string_view source,
                    ChatUse use = ChatUse::whole) const;

  // "nanochat", or the file of the template without its folder.
  const std::string& name() const { return name_; }
  // Of the template's text, the special tokens that it may name and date(); "" of nanochat's.
  const std::string& sha256() const { return sha256_; }
  // "2026-11-29": the day that a template takes for today (chat_template.h); "" where it asks for
  // none.
  const std::string& date() const { return date_; }

 private:
  std::string name_ = "nanochat", sha256_, date_;
  std::optional<ChatTemplate> template_;  // none: nanochat's
};

}  // namespace kappascope
