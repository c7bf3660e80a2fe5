// Named tensors in a file: what a checkpoint format is reduced to.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/input_file.h"
#include "core/checkpoint/zip.h"

namespace kappascope {

enum class DType : std::uint8_t {
  float32,
  bfloat16,
  float16,
  int64,
  int32,
  uint8,
  boolean,
  float64,
  int8,
  int16,
  uint16,
  uint32,
  uint64,
  // Numbers of eight bits that a family makes weights of with the scales beside them.
  float8_e4m3,
  float8_e5m2,
  float8_e8m0
};

std::size_t dtype_bytes(DType dtype);
std::string_view dtype_name(DType dtype);  // "float32", …

bool is_float(DType dtype);  // may be a weight as it is

inline constexpr std::size_t kMaxDimensions = 64;  // of a tensor: Torch's own limit

// A tensor in a file.
struct TensorInfo {
  std::string name;  // without the parts that wrappers put into it, as "_orig_mod."
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;  // every extent ≥ 0; [] is a scalar
  std::uint64_t offset = 0;         // of the first element, from the start of its file
  std::uint64_t bytes = 0;          // product of shape × dtype_bytes, less than 2⁶³
  // Steps along each axis, in elements, ≥ 0: checked against the file. Empty: row by row without
  // gaps, `bytes` bytes of the file. Elements may be shared, so `bytes` may be far more than the
  // file.
  std::vector<std::int64_t> strides = {};
  // Of the compressed entry that it is in, in TensorFile; `offset` is then one of the entry's
  // contents. −1: it is in the file as it is.
  std::int32_t packed = -1;
  std::uint32_t file = 0;  // which of TensorFile::files()

  std::int64_t elements() const;
  // Bytes of the file from the first element to the end of the last.
  std::uint64_t stored_bytes() const;
};

// A compressed entry of an archive, whose bytes begin at `begin` of its file.
struct PackedEntry {
  ZipEntry entry;
  std::uint64_t begin = 0;
  std::uint32_t file = 0;  // which of TensorFile::files()
};

// What a file has under a name beside the tensors that are read.
struct OtherMember {
  std::string name;
  std::string what;     // "a text", "a tensor of float8_e4m3fn"
  bool tensor = false;  // it is a tensor
};

std::string shape_text(std::span<const std::int64_t> shape);  // "[64, 32]"

// One file, or the shards of one model, and the named tensors in it, sorted by name. Reading a
// directory never touches tensor data.
class TensorFile {
 public:
  // Duplicates: damaged. `others`, `wrappers` (parts left out of names) are for messages.
  TensorFile(InputFile file, std::vector<TensorInfo> tensors, std::vector<PackedEntry> packed = {},
             std::vector<OtherMember> others = {}, std::set<std::string> wrappers = {});
  // The shards of one model, at least one. A name that two of them have: damaged, naming both.
  static TensorFile join(std::vector<TensorFile> shards);
  TensorFile(TensorFile&&) noexcept;
  TensorFile& operator=(TensorFile&&) noexcept;
  ~TensorFile();

  const InputFile& file() const { return files_.front(); }  // the first, or the only one
  const std::vector<InputFile>& files() const { return files_; }
  const InputFile& file_of(const TensorInfo& tensor) const { return files_[tensor.file]; }
  std::uint64_t size() const;  // bytes of all files
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo* find(std::string_view name) const;  // nullptr when absent
  const std::vector<OtherMember>& others() const { return others_; }
  const OtherMember* find_other(std::string_view name) const;  // nullptr when absent
  const std::set<std::string>& wrappers() const { return wrappers_; }

  // Takes `prefix` off the names that begin with it. Pointers to tensors are void afterwards.
  void strip_prefix(std::string_view prefix);

  // Whether data() is a copy that takes memory: steps that are not row by row, an offset that is no
  // multiple of the width, or a compressed entry.
  bool copied(const TensorInfo& tensor) const;

  // The tensor's bytes, row by row: in the mapped file where they are there so, else a copy, made
  // at the first call and kept. Only TensorInfo of this file. Safe from several threads. Whoever
  // asks has checked the shape: a copy takes `tensor.bytes` of memory.
  std::span<const std::byte> data(const TensorInfo& tensor) const;

  // Copies `into.size()` bytes of the tensor from byte `first` on. The file is mapped only where
  // data() is a copy.
  void read(const TensorInfo& tensor, std::uint64_t first, std::span<std::byte> into) const;

  // The values of a floating-point tensor as float32, widened or narrowed, e.g. for small
  // parameters. `first` and `count` are in elements.
  std::vector<float> floats(const TensorInfo& tensor, std::int64_t first, std::int64_t count) const;
  std::vector<float> floats(const TensorInfo& tensor) const;

  // InputFile::require_unchanged() of every file.
  void require_unchanged() const;

  // Says of `bytes` of the tensor from `first` on (all unless given) that they will be read soon,
  // or not again soon: their pages are then fetched in the background, or leave the resident size
  // of the process. Nothing happens where data() is a copy.
  static constexpr std::uint64_t kToTheEnd = UINT64_MAX;
  void prefetch(const TensorInfo& tensor, std::uint64_t first = 0,
                std::uint64_t bytes = kToTheEnd) const;
  void release(const TensorInfo& tensor, std::uint64_t first = 0,
               std::uint64_t bytes = kToTheEnd) const;

  // SHA-256, lower-case hex, over "name dtype shape offset[ strides][ file]\n" of every tensor in
  // order, the file where it is not the first: names the checkpoint without reading its data.
  std::string directory_sha256() const;

 private:
  struct Copies;
  void sort();
  // Whether the tensor's bytes are in the file row by row, aligned or not.
  static bool readable(const TensorInfo& tensor) {
    return tensor.packed < 0 && tensor.strides.empty();
  }
  std::span<const std::byte> stored(const TensorInfo& tensor) const;

  std::vector<InputFile> files_;
  std::vector<TensorInfo> tensors_;
  std::vector<PackedEntry> packed_;
  std::vector<OtherMember> others_;
  std::set<std::string> wrappers_;
  std::unique_ptr<Copies> copies_;
};

// Lower-case hex SHA-256 of a text.
std::string sha256_hex(std::string_view text);

}  // namespace kappascope
