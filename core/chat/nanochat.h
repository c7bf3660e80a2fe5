// Chats as nanochat renders them for training (nanochat/tokenizer.py, render_conversation, with
// tasks/common.py, normalize_conversation, of askerlee/kappa-swiglu).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/chat/chat_format.h"

namespace kappascope {

// A part of what a message says.
struct ChatPart {
  enum class Kind : std::uint8_t { text, python, python_output };
  Kind kind = Kind::text;
  std::string text;
};

struct ChatMessage {
  std::string role;
  std::vector<ChatPart> parts;  // of a plain text one, of an empty one none
};

// The messages in turns of user and assistant: those of one role that follow each other are one,
// empty ones are left out, "..." is put in front of an assistant that begins, a user's last
// message without an answer is left out unless it is all there is, or the chat is a prompt. A
// message of the system in front stays as it is.
std::vector<ChatMessage> in_turns(const std::vector<ChatMessage>& messages,
                                  ChatUse use = ChatUse::whole);

// `messages`: of JSON. Mask 1: what the assistant says and runs, and the token that ends it; not
// what its programs print. Texts are never taken for special tokens. Malformed: damaged; roles that
// do not alternate, another kind of part, a special token that the tokenizer lacks: unsupported.
// A prompt ends with <|assistant_start|>.
ChatTokens render_nanochat(const Json& messages, const Tokenizer& tokenizer,
                           std::string_view source, ChatUse use);

}  // namespace kappascope
