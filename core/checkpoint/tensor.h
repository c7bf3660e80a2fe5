// Named tensors in a file: what a checkpoint format is reduced to.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/input_file.h"

namespace kappascope {

enum class DType : std::uint8_t { float32, bfloat16, float16, int64, int32, uint8, boolean };

std::size_t dtype_bytes(DType dtype);
std::string_view dtype_name(DType dtype);  // "float32", …

// A row-major (contiguous) tensor in a file.
struct TensorInfo {
  std::string name;  // without the prefix "_orig_mod."
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;  // every extent ≥ 0; [] is a scalar
  std::uint64_t offset = 0;         // of the first byte, from the start of the file
  std::uint64_t bytes = 0;          // product of shape × dtype_bytes, checked against the file

  std::int64_t elements() const;
};

std::string shape_text(std::span<const std::int64_t> shape);  // "[64, 32]"

// A file and its named tensors, sorted by name. Reading a directory never touches tensor data.
class TensorFile {
 public:
  TensorFile(InputFile file, std::vector<TensorInfo> tensors);  // duplicates: damaged

  const InputFile& file() const { return file_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo* find(std::string_view name) const;  // nullptr when absent

  // The tensor's bytes in the mapped file, zero-copy. Only TensorInfo of this file.
  std::span<const std::byte> data(const TensorInfo& tensor) const;

  // The values of a floating-point tensor widened to float32, e.g. for small parameters.
  // `first` and `count` are in elements.
  std::vector<float> floats(const TensorInfo& tensor, std::int64_t first, std::int64_t count) const;
  std::vector<float> floats(const TensorInfo& tensor) const;

  // SHA-256, lower-case hex, over "name dtype shape offset\n" of every tensor in order: names the
  // checkpoint without reading its data.
  std::string directory_sha256() const;

 private:
  InputFile file_;
  std::vector<TensorInfo> tensors_;
};

// Lower-case hex SHA-256 of a text.
std::string sha256_hex(std::string_view text);

}  // namespace kappascope
