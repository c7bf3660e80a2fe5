// Any bytes as the tokenizer_config.json beside a tokenizer.json and a tokenizer.model: an Error,
// or tokenizers that make ids of a text, and a chat template where it has one.
#include <cstdlib>
#include <fstream>

#include "core/chat/chat_format.h"
#include "core/tokenizer/tokenizer.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"
#include "tests/fuzz/tiny_tokenizers.h"
#include "tests/unit/temp_folder.h"

namespace {

using namespace kappascope;

void check(const std::filesystem::path& file) {
  testing::only_file_errors([&] {
    const Tokenizer tokenizer = Tokenizer::load(file);
    for (const Token& token : tokenizer.encode("a <|end|>b <s>aa")) {
      if (token.id < 0 || token.id >= tokenizer.size()) { std::abort(); }
    }
  });
}

}  // namespace

void kappascope::testing::fuzz_tokenizer_config(const std::uint8_t* data, std::size_t size) {
  static const testing::TempFolder folder;
  static const bool made = [] {
    folder.write("json/tokenizer.json", testing::byte_tokenizer_json());
    folder.write("model/tokenizer.model", testing::sentencepiece());
    return true;
  }();
  if (!made) { return; }
  for (const char* kind : {"json", "model"}) {
    std::ofstream(folder / kind / "tokenizer_config.json", std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  }
  check(folder / "json/tokenizer.json");
  check(folder / "model/tokenizer.model");
  testing::only_file_errors([&] {
    ChatFormat::load(folder / "json/tokenizer.json")
        .render(R"([{"role":"user","content":"a"}])",
                Tokenizer::load(folder / "json/tokenizer.json"), "chat");
  });
}
