// Any bytes as a tokenizer.pkl: an Error, or a tokenizer whose tokens spell the text, in its order
// and but for what its pattern passes over.
#include <cstdlib>

#include "core/tokenizer/tokenizer.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/memory_file.h"

void kappascope::testing::fuzz_tokenizer_pickle(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  constexpr std::string_view kText =
      "It's 2 naïve tests,\n\n  aaaaaaaaaaaaaaaaaaaaaaaa 語🙂 <|bos|>";
  const testing::MemoryFile memory({reinterpret_cast<const char*>(data), size});
  testing::only_file_errors([&] {
    const Tokenizer tokenizer = Tokenizer::load_tiktoken_pickle(memory.path());
    std::size_t at = 0;
    for (const Token& token : tokenizer.encode_ordinary(kText)) {
      const std::string_view bytes = tokenizer.bytes(token.id);
      at = kText.find(bytes, at);
      if (bytes.empty() || at == kText.npos) { std::abort(); }
      at += bytes.size();
    }
    tokenizer.encode(kText);
  });
}
