// A letter, then any bytes as a chat: an Error, or tokens with as many marks. 't': by the chat
// template of a tokenizer.json; else by nanochat's form.
#include <cstdlib>

#include "core/chat/chat_format.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"
#include "tests/fuzz/tiny_tokenizers.h"
#include "tests/unit/temp_folder.h"

namespace {

using namespace kappascope;

struct Chatting {
  explicit Chatting(const std::filesystem::path& tokenizer)
      : format(ChatFormat::load(tokenizer)), words(Tokenizer::load(tokenizer)) {}
  ChatFormat format;
  Tokenizer words;
};

struct Both {
  Both() {
    folder.write("tokenizer.pkl", testing::tokenizer_pickle("\\S+|\\s+", testing::kChatSpecials));
    folder.write("tokenizer.json", testing::byte_tokenizer_json());
    folder.write(
        "chat_template.jinja",
        "{%- for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content "
        "}}{% endgeneration %}{% else %}{{ '<|end|>' + m['content'] | trim }}{% endif %}"
        "{% endfor %}");
  }
  testing::TempFolder folder;
};

}  // namespace

void kappascope::testing::fuzz_chat(const std::uint8_t* data, std::size_t size) {
  static const Both files;
  static const Chatting nanochat(files.folder / "tokenizer.pkl"),
      jinja(files.folder / "tokenizer.json");
  if (size == 0) { return; }
  const Chatting& used = data[0] == 't' ? jinja : nanochat;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (const ChatUse use : {ChatUse::whole, ChatUse::prompt}) {
    testing::only_file_errors([&] {
      const ChatTokens chat = used.format.render(text, used.words, "chat", use);
      if (chat.tokens.size() != chat.assistant.size()) { std::abort(); }
    });
  }
}
