// Any bytes as the config.json of a Hugging Face folder, and behind a NUL the tensors beside it
// (model_lines.h): an Error, or a model whose parts fit together. The weights
// are holes.
#include <filesystem>
#include <fstream>

#include "tests/fuzz/model_lines.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/temp_folder.h"
#include "tests/unit/tiny_safetensors.h"

namespace {

using namespace kappascope;

void write(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// The header that these lines stand for, and the bytes of the tensors.
std::pair<std::string, std::uint64_t> header_of(const std::string& lines) {
  Json header = Json::object();
  std::uint64_t end = 0;
  for (const testing::TensorLine& line : testing::tensor_lines(lines)) {
    const std::uint64_t begin = end;
    end += line.bytes;
    Json shape = Json::array();
    for (const std::int64_t length : line.shape) { shape.push_back(std::uint64_t(length)); }
    header[line.name] = {{"dtype", line.dtype}, {"shape", shape}, {"data_offsets", {begin, end}}};
  }
  return {header.dump(-1, ' ', false, Json::error_handler_t::replace), end};
}

}  // namespace

void kappascope::testing::fuzz_config(const std::uint8_t* data, std::size_t size) {
  static const testing::TempFolder folder;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(bytes.find('\0'), size);
  const auto [header, room] = header_of(bytes.substr(std::min(end + 1, size)));
  if (room > std::uint64_t{1} << 30) { return; }
  write(folder / "config.json", std::string_view(bytes).substr(0, end));
  write(folder / "model.safetensors", testing::safetensors_of(header, 0));
  std::filesystem::resize_file(folder / "model.safetensors", 8 + header.size() + room);
  testing::only_file_errors([&] { testing::check_model(open_model(folder.path())); });
}
