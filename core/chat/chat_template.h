// A chat template of Hugging Face: a chat → the text that the model was trained on, with the parts
// of it that are the assistant's. An interpreter of our own for the plain forms of Jinja
// (template_parser.h), bounded in time, memory and depth: templates and chats are not trusted.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/chat/chat_value.h"

namespace kappascope {

class ChatTemplate {
 public:
  // `file`: for messages. `variables`: what the template sees beside `messages`, such as bos_token.
  // Blocks that do not close: unsupported, with the place.
  ChatTemplate(std::string_view source, std::string file,
               std::map<std::string, std::string> variables);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // `messages`: a list of objects; `tools`: what the template knows by that name, null for none.
  // The marks are what {% generation %} encloses where the template has it, else the texts of the
  // assistant's messages wherever they are put. The template comes to a construct that is not among
  // the plain forms, which is named with its place, or it refuses the chat, computes what Python
  // would not, or takes over kMostTemplateSteps steps or makes over kMostTemplateBytes bytes of
  // text: unsupported, naming `source`. `prompt`: the template is asked for what the assistant's
  // answer begins with, too.
  MarkedText render(const Json& messages, std::string_view source, bool prompt = false,
                    const Json& tools = {}) const;

  bool has_generation() const;
  // The day that strftime_now() tells, "2026-11-29": when this was made, by the local clock or by
  // the variable SOURCE_DATE_EPOCH; "" where the template does not ask.
  std::string date() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

inline constexpr std::int64_t kMostTemplateSteps = 2'000'000;
inline constexpr std::int64_t kMostTemplateBytes = std::int64_t{512} << 20;

}  // namespace kappascope
