// Any bytes as a checkpoint, or as the pickle inside a sound one (where no checksum stops the
// search): an Error, or tensors that lie inside the file.
#include "core/checkpoint/torch_pt.h"

#include <cstdlib>

#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/tiny_pt.h"

namespace {

void read(const std::string& bytes) {
  using namespace kappascope;
  const testing::MemoryFile memory(bytes);
  testing::only_file_errors([&] {
    const TensorFile file = read_torch_pt(memory.path());
    for (const TensorInfo& tensor : file.tensors()) {
      if (file.find(tensor.name) != &tensor) { std::abort(); }
      // Shared elements and compressed ones may be more than the file; whoever reads them has
      // checked the shape.
      if (tensor.packed < 0 && tensor.stored_bytes() > bytes.size()) { std::abort(); }
      if (tensor.bytes > (std::uint64_t{1} << 20)) { continue; }
      if (file.data(tensor).size() != tensor.bytes) { std::abort(); }
      if (is_float(tensor.dtype)) { file.floats(tensor); }
    }
    file.directory_sha256();
  });
}

}  // namespace

void kappascope::testing::fuzz_torch_pt(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  if (!bytes.starts_with("PK")) { read(kappascope::testing::tiny_checkpoint(bytes).flat()); }
}
