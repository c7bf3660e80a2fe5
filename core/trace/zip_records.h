// The records of a ZIP archive as we write it (PKWARE APPNOTE 6.3.10): no dates, ZIP64 where
// needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace kappascope {

inline constexpr std::uint64_t kZip32Limit = 0xffffffff;  // sizes and offsets from here on: ZIP64
inline constexpr std::uint64_t kZipAlignment = 64;        // of the data of stored entries

// Little-endian numbers put one after the other.
class ZipBytes {
 public:
  ZipBytes& u16(std::uint64_t value) { return put(value, 2); }
  ZipBytes& u32(std::uint64_t value) { return put(value, 4); }
  ZipBytes& u64(std::uint64_t value) { return put(value, 8); }
  ZipBytes& add(std::string_view value) {
    bytes_ += value;
    return *this;
  }
  const std::string& text() const { return bytes_; }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(bytes_)); }
  std::uint64_t size() const { return bytes_.size(); }

 private:
  ZipBytes& put(std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i) { bytes_ += static_cast<char>(value >> (8 * i) & 0xff); }
    return *this;
  }
  std::string bytes_;
};

struct ZipRecord {
  std::string_view name;
  std::uint64_t offset = 0;     // of the local header
  std::uint64_t size = 0;       // bytes in the archive
  std::uint64_t full_size = 0;  // bytes of the contents
  std::uint32_t crc = 0;        // of the contents
  bool wide = false;            // the sizes are in a ZIP64 field
  std::uint64_t padding = 0;    // bytes that align the data
  std::uint16_t method = 0;     // 0: stored, 8: deflate
};

// The header in front of an entry's data, and its length.
ZipBytes local_header(const ZipRecord& record);
std::uint64_t local_header_size(const ZipRecord& record);

void put_directory_entry(ZipBytes& directory, const ZipRecord& record);

// What follows the directory, which has `count` entries and `size` bytes and begins at `offset`.
void put_end(ZipBytes& directory, std::uint64_t count, std::uint64_t offset, std::uint64_t size);

}  // namespace kappascope
