// A digit, then any bytes as a file of that form: documents that are UTF-8, or failures. The whole
// file and a half of its documents have the same ones at the same places.
#include <array>
#include <cstdlib>

#include "core/corpus/document_source.h"
#include "core/utf8.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/memory_file.h"

namespace {

using namespace kappascope;

std::unique_ptr<DocumentSource> open_form(const std::string& path, unsigned form) {
  constexpr std::array kPackings{Packing::none, Packing::gzip, Packing::zstd};
  const Packing packing = kPackings[form / 3 % 3];
  const CorpusFields fields{"text", "domain"};
  return form % 3 == 0   ? open_text(path, packing)
         : form % 3 == 1 ? open_json_lines(path, packing, fields)
                         : open_csv(path, packing, fields);
}

}  // namespace

void kappascope::testing::fuzz_corpus(const std::uint8_t* data, std::size_t size) {
  if (size == 0) { return; }
  const unsigned form = std::uint8_t(data[0] - '0');
  const testing::MemoryFile memory({reinterpret_cast<const char*>(data) + 1, size - 1});
  testing::only_file_errors([&] {
    const auto all = open_form(memory.path(), form), half = open_form(memory.path(), form);
    Document document, again;
    for (bool wanted = true; all->next(true, document); wanted = !wanted) {
      if (!is_utf8(document.text) || !is_utf8(document.domain)) { std::abort(); }
      if (!half->next(wanted, again) || (wanted && again.text != document.text)) { std::abort(); }
      if (all->consumed() >= size) { std::abort(); }
      document = again = {};
    }
    if (half->next(true, again)) { std::abort(); }
  });
}
