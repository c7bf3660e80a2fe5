// Any bytes as a tokenizer.model: an Error, or a tokenizer whose tokens are at places of the text.
#include <cstdlib>

#include "core/tokenizer/tokenizer.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/memory_file.h"

void kappascope::testing::fuzz_sentencepiece(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  constexpr std::string_view kText = " ab  aaaaaaaaaaaaaaaaaaaaaaaa\n語🙂<s>▁x ";
  constexpr std::int32_t kCharacters = 38;
  const testing::MemoryFile memory({reinterpret_cast<const char*>(data), size});
  testing::only_file_errors([&] {
    const Tokenizer tokenizer = Tokenizer::load_sentencepiece(memory.path());
    for (const Token& token : tokenizer.encode(kText)) {
      const bool inside = token.char_start >= 0 && token.char_start <= token.char_end &&
                          token.char_end <= kCharacters;
      if (!inside || token.id >= tokenizer.size()) { std::abort(); }
    }
  });
}
