// The directory of a ZIP archive as torch.save, numpy.savez and numpy.savez_compressed write it.
// ZIP64 is understood. (PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5.3)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/input_file.h"

namespace kappascope {

struct ZipEntry {
  std::string name;
  std::uint64_t header_offset = 0;  // of the local header
  std::uint64_t limit = 0;          // where the next entry, or the directory, begins
  std::uint64_t size = 0;           // bytes, as stored
  std::uint64_t full_size = 0;      // bytes of the contents, as declared; `size` when stored
  std::uint32_t crc32 = 0;          // as the directory says; not verified here
  std::uint16_t method = 0;         // 0: stored, 8: deflate, others
};

class ZipDirectory {
 public:
  // Reads the end record and the central directory, nothing else. Refused (damaged): no end
  // record at the very end (so an archive comment too), entries outside the file or overlapping,
  // duplicate or non-UTF-8 names, encryption, several disks; (unsupported) a directory of more
  // than 64 MiB. An entry that is compressed is refused by name when it is asked for.
  static ZipDirectory read(const InputFile& file);

  const std::vector<ZipEntry>& entries() const { return entries_; }
  const ZipEntry* find(std::string_view name) const;  // nullptr when absent

  // Reads the entry's local header, checks it against the directory and gives the offset of the
  // entry's first byte in the file. The entry's bytes lie inside the file. A compressed entry is
  // refused (unsupported).
  std::uint64_t data_offset(const InputFile& file, const ZipEntry& entry) const;

  // The same for an entry of any method: where its `size` bytes, compressed or not, begin.
  std::uint64_t stored_offset(const InputFile& file, const ZipEntry& entry) const;

 private:
  std::vector<ZipEntry> entries_;  // sorted by name
};

}  // namespace kappascope
