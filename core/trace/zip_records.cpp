#include "core/trace/zip_records.h"

#include <algorithm>

namespace kappascope {
namespace {

constexpr std::uint64_t kLocalHeader = 30;
constexpr std::uint16_t kPaddingId = 0xd935;  // "alignment" extra field, ignored by readers
constexpr std::uint64_t kPaddingHeader = 6;   // id, size, alignment
constexpr std::uint16_t kZip64Id = 0x0001;
constexpr std::uint64_t kZip64Field = 20;  // id, size and both sizes in a local header

// The fields that local header and directory share. 1980-01-01 is the ZIP's day 0: no dates.
void put_common(ZipBytes& bytes, const ZipRecord& record) {
  bytes.u16(record.wide ? 45 : 20).u16(0).u16(record.method).u16(0).u16(0x21).u32(record.crc);
  bytes.u32(record.wide ? kZip32Limit : record.size);
  bytes.u32(record.wide ? kZip32Limit : record.full_size).u16(record.name.size());
}

}  // namespace

std::uint64_t local_header_size(const ZipRecord& record) {
  return kLocalHeader + record.name.size() + (record.wide ? kZip64Field : 0) + kPaddingHeader +
         record.padding;
}

ZipBytes local_header(const ZipRecord& record) {
  ZipBytes bytes;
  bytes.u32(0x04034b50);
  put_common(bytes, record);
  bytes.u16(local_header_size(record) - kLocalHeader - record.name.size()).add(record.name);
  if (record.wide) { bytes.u16(kZip64Id).u16(16).u64(record.full_size).u64(record.size); }
  bytes.u16(kPaddingId).u16(2 + record.padding).u16(kZipAlignment);
  return bytes.add(std::string(record.padding, '\0'));
}

void put_directory_entry(ZipBytes& directory, const ZipRecord& record) {
  const bool far = record.offset >= kZip32Limit;
  const std::uint64_t extra = (record.wide ? 16 : 0) + (far ? 8 : 0);
  directory.u32(0x02014b50).u16(record.wide || far ? 45 : 20);
  put_common(directory, record);
  directory.u16(extra > 0 ? extra + 4 : 0).u16(0).u16(0).u16(0).u32(0);
  directory.u32(far ? kZip32Limit : record.offset).add(record.name);
  if (extra > 0) { directory.u16(kZip64Id).u16(extra); }
  if (record.wide) { directory.u64(record.full_size).u64(record.size); }
  if (far) { directory.u64(record.offset); }
}

void put_end(ZipBytes& directory, std::uint64_t count, std::uint64_t offset, std::uint64_t size) {
  if (count >= 0xffff || offset >= kZip32Limit || size >= kZip32Limit) {
    directory.u32(0x06064b50).u64(44).u16(45).u16(45).u32(0).u32(0);
    directory.u64(count).u64(count).u64(size).u64(offset);
    directory.u32(0x07064b50).u32(0).u64(offset + size).u32(1);
  }
  const std::uint64_t shown = std::min<std::uint64_t>(count, 0xffff);
  directory.u32(0x06054b50).u16(0).u16(0).u16(shown).u16(shown);
  directory.u32(std::min(size, kZip32Limit)).u32(std::min(offset, kZip32Limit)).u16(0);
}

}  // namespace kappascope
