// A regular file opened for reading: small parts are copied out, tensors are mapped.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/mapping.h"
#include "core/error.h"

namespace kappascope {

class InputFile {
 public:
  // Opens without following into FIFOs, devices or folders (those: ExitCode::damaged, "not a
  // regular file"); missing or no permission: ExitCode::io. Never blocks.
  static InputFile open(const std::filesystem::path& path);

  InputFile(InputFile&&) noexcept;
  InputFile& operator=(InputFile&&) noexcept;
  ~InputFile();

  const std::string& path() const { return path_; }  // as given, for messages
  std::uint64_t size() const { return size_; }

  // Copies [offset, offset+length) out of the file. `what` names the part in the error that is
  // thrown (damaged, with offset, expected and found) when it is not inside the file, or no longer.
  std::vector<std::byte> read(std::uint64_t offset, std::uint64_t length,
                              std::string_view what) const;

  // The same into memory that the caller has.
  void read(std::uint64_t offset, std::span<std::byte> into, std::string_view what) const;

  // The same range of a read-only mapping of the whole file, made at the first call. Safe from
  // several threads. What another program writes to the file meanwhile is seen, and zeros where it
  // has shortened it: ask require_unchanged() before what was read is believed, and use no number
  // of a mapping as an index that was checked before.
  std::span<const std::byte> map(std::uint64_t offset, std::uint64_t length,
                                 std::string_view what) const;

  // Whether the file is another than the one that was opened: its length or the time of its last
  // change differs, or a mapped page could not be read. One system call, safe from several threads.
  bool changed() const;

  // Throws when changed(): damaged, "changed while it was read"; io when the disk failed.
  void require_unchanged() const;

  // Says to the kernel that the range is not needed soon (its pages leave our resident size), or
  // that it is needed soon (its pages are read in the background). Without a mapping yet the first
  // does nothing, the second makes it.
  void release(std::uint64_t offset, std::uint64_t length) const;
  void prefetch(std::uint64_t offset, std::uint64_t length) const;

  // Bytes copied out by read() so far; mapping counts nothing until touched. Tests assert on it.
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  InputFile() = default;
  bool written_since() const;
  std::string path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  std::int64_t changed_seconds_ = 0, changed_nanoseconds_ = 0;  // last change when it was opened
  mutable std::atomic<const Mapping*> mapping_ = nullptr;
  mutable std::atomic<std::uint64_t> bytes_read_ = 0;
};

// Whole small text file (JSON); longer than `limit` bytes: ExitCode::damaged.
std::string read_text_file(const std::filesystem::path& path, std::uint64_t limit);
std::string read_text(const InputFile& file, std::uint64_t limit);

}  // namespace kappascope
