// Any bytes as a safetensors file, or as the header of one (whose length is then right): an Error,
// or tensors that fill the file after the header and do not overlap.
#include "core/checkpoint/safetensors.h"

#include <algorithm>
#include <cstdlib>

#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/memory_file.h"
#include "tests/unit/tiny_safetensors.h"

namespace {

void read_wholly(const std::string& bytes) {
  using namespace kappascope;
  const testing::MemoryFile memory(bytes);
  testing::only_file_errors([&] {
    const TensorFile file = read_safetensors(memory.path());
    std::uint64_t sum = 0;
    for (const TensorInfo& tensor : file.tensors()) {
      if (file.find(tensor.name) != &tensor || file.data(tensor).size() != tensor.bytes) {
        std::abort();
      }
      if (tensor.offset < 8 || tensor.offset + tensor.bytes > bytes.size()) { std::abort(); }
      if (is_float(tensor.dtype)) { file.floats(tensor); }
      sum += tensor.bytes;
    }
    if (sum > bytes.size()) { std::abort(); }
    file.directory_sha256();
  });
}

}  // namespace

void kappascope::testing::fuzz_safetensors(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  read_wholly(bytes);
  if (bytes.starts_with('{')) {
    const std::size_t end = std::min(bytes.find('\n'), size);
    read_wholly(kappascope::testing::safetensors_of(bytes.substr(0, end), size - end));
  }
}
