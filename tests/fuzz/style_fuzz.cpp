// Any bytes as a style file: an Error, or settings whose style, written and read again, is the
// same.
#include <cmath>
#include <cstdlib>

#include "core/error.h"
#include "core/figure/style.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/memory_file.h"

// What fontconfig keeps for itself, once asked for a font.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libfontconfig";
}

void kappascope::testing::fuzz_style(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  const testing::MemoryFile memory({reinterpret_cast<const char*>(data), size});
  FigureStyle style;
  try {
    style = style_of(read_style(memory.path()), {});
  } catch (const Error& error) {  // usage: a setting that there is not
    if (error.code() != ExitCode::damaged && error.code() != ExitCode::usage) { std::abort(); }
    return;
  }
  const std::string text = style_text(style);
  const testing::MemoryFile again(text);
  if (style_text(style_of(read_style(again.path()), {})) != text) { std::abort(); }
}
