// Any bytes as a ZIP archive: an Error, or entries that lie inside the file.
#include "core/checkpoint/zip.h"

#include <cstdlib>

#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/memory_file.h"

void kappascope::testing::fuzz_zip(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  const testing::MemoryFile memory({reinterpret_cast<const char*>(data), size});
  testing::only_file_errors([&] {
    const InputFile file = InputFile::open(memory.path());
    const ZipDirectory zip = ZipDirectory::read(file);
    for (const ZipEntry& entry : zip.entries()) {
      if (zip.find(entry.name) != &entry) { std::abort(); }
      const std::uint64_t offset = zip.data_offset(file, entry);
      if (offset > size || entry.size > size - offset) { std::abort(); }
    }
  });
}
