// A new file that is there in full or not at all: removed again unless it was finished.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace kappascope {

// The folder for temporary files: TMPDIR, else /tmp. Not there, or no folder: io, naming the
// variable.
std::filesystem::path temporary_folder();

// Takes `size` bytes of disk for an open file where the file system can; 0, or the error (errno) of
// a disk or a quota that has not so many. Elsewhere a full disk shows at the write.
int reserve_room(int descriptor, std::uint64_t size);

class OutputFile {
 public:
  // Creates `path`, which must not exist (io).
  explicit OutputFile(const std::filesystem::path& path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();  // a file that was not finished is removed

  const std::string& path() const { return path_; }

  // Takes `size` bytes of disk at once where the file system can; no room: io, with the bytes
  // needed and found. Elsewhere a full disk shows at the write.
  void reserve(std::uint64_t size);

  // Puts `data` at byte `offset`. Errors: io, with file and offset.
  void write_at(std::uint64_t offset, std::span<const std::byte> data);

  // Returns when what was written is on the disk.
  void sync();

  // Closes; from here on the file stays.
  void finish();

 private:
  std::string path_;
  int descriptor_ = -1;
};

// A new file of these bytes, whole or not at all; with `sync` they are on the disk when it returns.
// Errors: io.
void write_file(const std::filesystem::path& path, std::string_view bytes, bool sync = false);

// Waits until what was written of a file, or the names in a folder, is on the disk. Errors: io; a
// file system that cannot do that for a folder is none.
void sync_path(const std::filesystem::path& path);

}  // namespace kappascope
