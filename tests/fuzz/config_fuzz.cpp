// Any bytes as the config.json of a Hugging Face folder, and behind a NUL the tensors beside it,
// lines of "NAME DTYPE LENGTH,LENGTH": an Error, or a model whose parts fit together. The weights
// are holes.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/model/description.h"
#include "core/model/model.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/temp_folder.h"
#include "tests/unit/tiny_safetensors.h"

namespace {

using namespace kappascope;

void write(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::uint64_t bytes_of(const std::string& dtype, std::istringstream& shape) {
  std::uint64_t bytes = dtype == "F32" ? 4 : dtype == "U8" || dtype == "F8_E4M3" ? 1 : 2;
  for (std::string length; std::getline(shape, length, ',');) {
    bytes *= std::strtoull(length.c_str(), nullptr, 10);
  }
  return bytes;
}

// The header that these lines stand for, and the bytes of the tensors.
std::pair<std::string, std::uint64_t> header_of(const std::string& lines) {
  std::istringstream rows(lines);
  Json header = Json::object();
  std::uint64_t end = 0;
  for (std::string name, dtype, lengths; rows >> name >> dtype >> lengths;) {
    std::istringstream shape(lengths);
    const std::uint64_t begin = end;
    end += bytes_of(dtype, shape);
    header[name] = {{"dtype", dtype}, {"shape", Json::array()}, {"data_offsets", {begin, end}}};
    shape = std::istringstream(lengths == "-" ? "" : lengths);
    for (std::string length; std::getline(shape, length, ',');) {
      header[name]["shape"].push_back(std::strtoull(length.c_str(), nullptr, 10));
    }
  }
  return {header.dump(-1, ' ', false, Json::error_handler_t::replace), end};
}

void check(const Model& model) {
  const std::size_t layers = model.architecture.layers.size();
  if (layers == 0 || model.kappa.size() != layers) { std::abort(); }
  if (count_parameters(model).total < 0 || layer_ranges(model).empty()) { std::abort(); }
  first_score(model.architecture);
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
  testing::only_file_errors([&] { check(open_model(folder.path())); });
}
