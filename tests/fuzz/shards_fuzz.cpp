// Any bytes as the index of a folder with two shards, a link out of the folder and a pipe: an
// Error, or the tensors of the shards that it names.
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/checkpoint/folder.h"
#include "core/checkpoint/shards.h"
#include "core/error.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/temp_folder.h"
#include "tests/unit/tiny_safetensors.h"

namespace {

using namespace kappascope;

void make(const testing::TempFolder& folder) {
  const auto shard = [](const std::string& tensor) {
    return testing::safetensors_of(
        "{\"" + tensor + "\":" + testing::safetensors_entry("BF16", "[2,2]", "[0,8]") + "}", 8);
  };
  folder.write("a.safetensors", shard("a"));
  folder.write("b.safetensors", shard("b"));
  folder.write("config.json", "{}");
  std::filesystem::create_symlink("/etc/passwd", folder / "link.safetensors");
  mkfifo((folder / "pipe.safetensors").c_str(), 0600);
}

}  // namespace

void kappascope::testing::fuzz_shards(const std::uint8_t* data, std::size_t size) {
  static const testing::TempFolder folder;
  static const bool made = (make(folder), true);
  const std::filesystem::path index = folder / "model.safetensors.index.json";
  std::ofstream(index, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  const CheckpointFiles files{.kind = FolderKind::hugging_face, .weights = index};
  try {
    const TensorFile file = read_weights(files);
    if (!made || file.tensors().empty() || file.tensors().size() > 2) { std::abort(); }
    for (const TensorInfo& tensor : file.tensors()) { file.floats(tensor); }
  } catch (const Error& error) {  // io: a shard is not there
    if (error.code() != ExitCode::damaged && error.code() != ExitCode::unsupported &&
        error.code() != ExitCode::io) {
      std::abort();
    }
  }
}
