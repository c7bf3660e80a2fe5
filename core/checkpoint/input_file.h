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
  // thrown (damaged, with offset, expected and found) when it does not lie inside the file.
  std::vector<std::byte> read(std::uint64_t offset, std::uint64_t length,
                              std::string_view what) const;

  // The same range of a read-only mapping of the whole file, made at the first call. Safe from
  // several threads. Whoever shortens the file meanwhile stops us with SIGBUS.
  std::span<const std::byte> map(std::uint64_t offset, std::uint64_t length,
                                 std::string_view what) const;

  // Tells the kernel that the mapped range is not needed soon (its pages leave our resident size).
  void release(std::uint64_t offset, std::uint64_t length) const;

  // Bytes copied out by read() so far; mapping counts nothing until touched. Tests assert on it.
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  InputFile() = default;
  std::string path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  mutable std::atomic<const std::byte*> mapping_ = nullptr;
  mutable std::atomic<std::uint64_t> bytes_read_ = 0;
};

// Whole small text file (JSON); longer than `limit` bytes: ExitCode::damaged.
std::string read_text_file(const std::filesystem::path& path, std::uint64_t limit);

}  // namespace kappascope
