// A letter, then any bytes as a chat: an Error, or tokens with as many marks. 't': by the chat
// template of a tokenizer.json, 'p': by one that does not say what is the assistant's; else by
// nanochat's form.
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

struct Files {
  Files() {
    folder.write("tokenizer.pkl", testing::tokenizer_pickle("\\S+|\\s+", testing::kChatSpecials));
    with_template(
        "marked",
        "{%- for m in messages %}{% if m.role == 'assistant' %}{% generation %}"
        "{{ m.content }}{% endgeneration %}{% else %}{{ '<|end|>' + m['content'] | trim }}"
        "{% endif %}{% endfor %}");
    with_template("plain", "{%- for m in messages %}{{ m.content }}<|end|>{% endfor %}");
  }
  void with_template(const std::string& name, const std::string& text) const {
    folder.write(name + "/tokenizer.json", testing::byte_tokenizer_json());
    folder.write(name + "/chat_template.jinja", text);
  }
  testing::TempFolder folder;
};

}  // namespace

void kappascope::testing::fuzz_chat(const std::uint8_t* data, std::size_t size) {
  static const Files files;
  static const Chatting nanochat(files.folder / "tokenizer.pkl"),
      marked(files.folder / "marked/tokenizer.json"), plain(files.folder / "plain/tokenizer.json");
  if (size == 0) { return; }
  const Chatting& used = data[0] == 't' ? marked : data[0] == 'p' ? plain : nanochat;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (const ChatUse use : {ChatUse::whole, ChatUse::prompt}) {
    testing::only_file_errors([&] {
      const ChatTokens chat = used.format.render(text, used.words, "chat", use);
      if (chat.tokens.size() != chat.assistant.size()) { std::abort(); }
    });
  }
}
