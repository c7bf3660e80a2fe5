// Any bytes as a chat template: an Error, or a text whose marks are places of it in order.
#include <cstdlib>

#include "core/chat/chat_template.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"

void kappascope::testing::fuzz_chat_template(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  static const Json messages =
      Json::parse(R"([{"role":"system","content":"s"},{"role":"user","content":" q "},)"
                  R"({"role":"assistant","content":"<think>é</think>\n a"}])");
  testing::only_file_errors([&] {
    const ChatTemplate chat(source, "T", {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
    const MarkedText text = chat.render(messages, "chat");
    std::size_t end = 0;
    for (const ByteRange& mark : text.marks) {
      if (mark.begin < end || mark.end < mark.begin || mark.end > text.text.size()) {
        std::abort();
      }
      end = mark.end;
    }
  });
}
