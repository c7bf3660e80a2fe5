#include "tests/tools/safetensors_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <memory>
#include <span>
#include <system_error>

#include "core/checkpoint/json.h"

namespace kappascope::synthetic {
namespace {

namespace fs = std::filesystem;
using Tensors = std::span<const TorchTensor>;

std::string_view safetensors_name(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "F32";
    case DType::bfloat16:
      return "BF16";
    case DType::float16:
      return "F16";
    case DType::float64:
      return "F64";
    case DType::uint8:
      return "U8";
    case DType::int64:
      return "I64";
    default:
      fail(ExitCode::internal, {}, "no name in safetensors for ", dtype_name(dtype));
  }
}

std::uint64_t bytes_of(const TorchTensor& tensor) {
  std::uint64_t bytes = dtype_bytes(tensor.dtype);
  for (const std::int64_t extent : tensor.shape) { bytes *= static_cast<std::uint64_t>(extent); }
  return bytes;
}

// Length and header; the header is filled with spaces up to a boundary of 8 bytes.
std::string head_of(Tensors tensors) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  std::uint64_t begin = 0;
  for (const TorchTensor& tensor : tensors) {
    const std::uint64_t end = begin + bytes_of(tensor);
    header[tensor.name] = {{"dtype", safetensors_name(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string length;
  for (int i = 0; i < 8; ++i) {
    length += static_cast<char>(std::uint64_t{text.size()} >> (8 * i) & 0xff);
  }
  return length + text;
}

void write_file(const fs::path& path, Tensors tensors, const TensorBytes& bytes) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wb"),
                                                             &std::fclose);
  const auto check = [&](bool holds) {
    require(holds, ExitCode::io, Place{path.native()},
            "cannot be written: ", std::generic_category().message(errno));
  };
  check(file != nullptr);
  const auto write = [&](const void* from, std::size_t size) {
    check(std::fwrite(from, 1, size, file.get()) == size);
  };
  const std::string head = head_of(tensors);
  write(head.data(), head.size());
  std::uint64_t size = head.size();
  for (const TorchTensor& tensor : tensors) {
    size += bytes_of(tensor);
    if (bytes) {
      bytes(tensor, [&](Bytes piece) { write(piece.data(), piece.size()); });
    }
  }
  check(std::fflush(file.get()) == 0);
  if (!bytes) { fs::resize_file(path, size); }
  require(fs::file_size(path) == size, ExitCode::internal, Place{path.native()},
          "bytes of tensors; expected ", size, " with the header, found ", fs::file_size(path));
}

// Where each shard begins in the list, and its end.
std::vector<std::size_t> shard_bounds(Tensors tensors, std::uint64_t shard_bytes) {
  std::vector<std::size_t> bounds = {0};
  std::uint64_t filled = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t bytes = bytes_of(tensors[i]);
    if (filled > 0 && bytes > shard_bytes - std::min(shard_bytes, filled)) {
      bounds.push_back(i);
      filled = 0;
    }
    filled += bytes;
  }
  bounds.push_back(tensors.size());
  return bounds;
}

}  // namespace

void write_safetensors(const fs::path& folder, const std::vector<TorchTensor>& tensors,
                       const TensorBytes& bytes, std::uint64_t shard_bytes) {
  fs::create_directories(folder);
  const std::vector<std::size_t> bounds = shard_bounds(tensors, shard_bytes);
  const std::size_t shards = bounds.size() - 1;
  if (shards == 1) { return write_file(folder / "model.safetensors", tensors, bytes); }
  Json map = Json::object();
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < shards; ++i) {
    char name[64];
    std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i + 1, shards);
    const Tensors part = Tensors(tensors).subspan(bounds[i], bounds[i + 1] - bounds[i]);
    for (const TorchTensor& tensor : part) {
      map[tensor.name] = name;
      total += bytes_of(tensor);
    }
    write_file(folder / name, part, bytes);
  }
  std::ofstream(folder / "model.safetensors.index.json")
      << Json{{"metadata", {{"total_size", total}}}, {"weight_map", map}}.dump(2) << '\n';
}

}  // namespace kappascope::synthetic
