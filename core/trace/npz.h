// NumPy .npz archives: C order, little endian, ZIP64 when needed; written with stored entries,
// which compress_npz may deflate afterwards; both are read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/zip.h"
#include "core/error.h"

namespace kappascope {

enum class NpyType : std::uint8_t { boolean, int8, int16, int32, int64, float32, float64, text };
std::string_view type_name(NpyType type);  // "float32", …

// One array of an archive. `text` arrays are NumPy '<U': `text_width` code points an item.
struct NpyArray {
  std::string name;
  NpyType type = NpyType::float32;
  std::vector<std::int64_t> shape;
  std::int64_t text_width = 0;

  std::int64_t elements() const;
  std::int64_t item_bytes() const;
};

// Writes an archive whose arrays and shapes are known from the start, in any order and in pieces:
// the layout is fixed when it is opened, every piece is written to its place at once, and nothing
// of an array stays in memory. Same calls, same bytes (no dates).
class NpzWriter {
 public:
  // Creates `path`, which must not exist. Room on the disk is taken at once where the file system
  // can: a full disk is an error (io) before the work, not after it.
  NpzWriter(const std::filesystem::path& path, std::vector<NpyArray> arrays);
  ~NpzWriter();  // an archive that was not finished is removed

  // Puts `data` (whole items) at element `first` of the array. Every element must be written
  // exactly once before finish(); pieces of one array may be written in any order.
  void write(std::string_view array, std::int64_t first, std::span<const std::byte> data);

  // The same for a text array: UTF-8 in, each item padded with NUL to text_width.
  void write_text(std::string_view array, std::int64_t first, std::span<const std::string> items);

  // Checks that every element came, writes headers, checksums and directory, and closes. Breaches
  // of these rules, here and in the calls above, are our own mistakes (internal).
  void finish();

  // A whole array at once.
  template <typename T>
  void write(std::string_view array, const std::vector<T>& values) {
    write(array, 0, std::as_bytes(std::span(values)));
  }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Writes the archive `from` anew as `to`, which must not exist, with every entry deflated as
// numpy.savez_compressed does it. Same archive, same bytes.
void compress_npz(const std::filesystem::path& from, const std::filesystem::path& to);
// In its place; for one that nobody has open yet.
void compress_npz(const std::filesystem::path& path);

// Reads an archive: directory and .npy headers. Large arrays of floating-point numbers are views of
// the mapped file; all others are copied at the first call for them: indices, which must not change
// after they were checked, what is small, unaligned or compressed (that is verified by its
// checksum). Entries that are no array we can hold (other types, object arrays, Fortran order, big
// endian, broken headers, other files) are strangers: absence() says what they are. A broken
// archive is damaged. Not safe for several threads: let one fetch the spans, then share those.
class NpzReader {
 public:
  explicit NpzReader(const std::filesystem::path& path);

  const std::vector<NpyArray>& arrays() const { return arrays_; }
  const NpyArray* find(std::string_view name) const;  // nullptr when absent
  const InputFile& file() const { return file_; }

  // Why there is no array of that name, with the code of the error that asking for it raises.
  Failure absence(std::string_view name) const;
  // Whether there is an entry of that name, an array or a stranger.
  bool mentions(std::string_view name) const;

  // Throws when views of the mapped file were given and the file has changed since it was opened.
  void require_unchanged() const;

  // The values of an array of that very type; absent or of another type: damaged.
  std::span<const float> float32(std::string_view name) const;
  std::span<const double> float64(std::string_view name) const;
  std::span<const std::int8_t> int8(std::string_view name) const;
  std::span<const std::int16_t> int16(std::string_view name) const;
  std::span<const std::int32_t> int32(std::string_view name) const;
  std::span<const std::int64_t> int64(std::string_view name) const;
  std::span<const std::uint8_t> boolean(std::string_view name) const;
  std::vector<std::string> text(std::string_view name) const;  // UTF-8, trailing NULs off

 private:
  std::span<const std::byte> bytes(std::string_view name, NpyType type) const;
  template <typename T>
  std::span<const T> values(std::string_view name, NpyType type) const;

  // Where an array is in the file.
  struct Storage {
    ZipEntry entry;
    std::uint64_t begin = 0;   // of the entry's bytes in the file
    std::uint64_t header = 0;  // bytes of the contents before the values
  };
  static NpyArray read_array(const InputFile& file, std::string_view name, Storage& storage);
  void read_directory();
  bool may_be_view(const NpyArray& array, const Storage& storage) const;

  InputFile file_;
  std::vector<NpyArray> arrays_;  // sorted by name
  std::vector<Storage> storage_;  // beside arrays_
  std::map<std::string, Failure, std::less<>> strangers_;
  mutable bool mapped_ = false;  // views were given
  // Values of arrays that are not views, once asked for, on a cache line as in the file; beside
  // arrays_.
  struct FreeAligned {
    void operator()(std::byte* bytes) const { ::operator delete(bytes, kAlignment); }
  };
  static constexpr std::align_val_t kAlignment{64};
  using Copy = std::unique_ptr<std::byte[], FreeAligned>;
  static Copy make_copy(std::uint64_t size);
  mutable std::vector<Copy> copies_;
};

}  // namespace kappascope
