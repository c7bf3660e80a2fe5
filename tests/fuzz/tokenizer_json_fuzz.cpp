// Any bytes as a tokenizer.json: an Error, or a tokenizer whose tokens are at places of the text.
#include <cstdlib>

#include "core/tokenizer/tokenizer.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/memory_file.h"

void kappascope::testing::fuzz_tokenizer_json(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  constexpr std::string_view kText =
      " It's 2 naïve tests,\n\n  aaaaaaaaaaaaaaaaaaaaaaaa 語🙂 <|end|>e\u0301\u1100\u1161 ▁x";
  constexpr std::int32_t kCharacters = 66;
  const testing::MemoryFile memory({reinterpret_cast<const char*>(data), size});
  testing::only_file_errors([&] {
    const Tokenizer tokenizer = Tokenizer::load_json(memory.path());
    for (const Token& token : tokenizer.encode_ordinary(kText)) {
      const bool inside = token.char_start >= 0 && token.char_start <= token.char_end &&
                          token.char_end <= kCharacters;
      if (!inside || token.id >= tokenizer.size()) { std::abort(); }
    }
    tokenizer.encode(kText);
  });
}
