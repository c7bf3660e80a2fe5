#include "core/checkpoint/zip.h"

#include <algorithm>
#include <cstddef>
#include <span>

#include "core/checkpoint/byte_cursor.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

constexpr std::uint64_t kLocalSignature = 0x04034b50;
constexpr std::uint64_t kEntrySignature = 0x02014b50;
constexpr std::uint64_t kEndSignature = 0x06054b50;
constexpr std::uint64_t kEnd64Signature = 0x06064b50;
constexpr std::uint64_t kLocatorSignature = 0x07064b50;
constexpr std::uint64_t kLocalBytes = 30, kEntryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56,
                        kLocatorBytes = 20;
constexpr std::uint64_t kMaxDirectoryBytes = std::uint64_t{64} << 20;

// A field that holds this has its value in a ZIP64 record.
constexpr std::uint64_t kInZip64Of16Bits = 0xFFFF, kInZip64Of32Bits = 0xFFFFFFFF;
constexpr std::uint64_t kZip64Extra = 0x0001;

constexpr std::uint64_t kFlagDescriptor = 1U << 3;
// Encryption, patch data, strong encryption, masked headers.
constexpr std::uint64_t kFlagsRefused = 1U << 0 | 1U << 5 | 1U << 6 | 1U << 13;

struct Directory {
  std::uint64_t disk = 0;
  std::uint64_t entries_here = 0;
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;
};

Place at(const InputFile& file, std::uint64_t offset) {
  return {file.path(), {}, static_cast<std::int64_t>(offset)};
}

template <typename... Parts>
void check(bool holds, const Place& place, const Parts&... what) {
  require(holds, ExitCode::damaged, place, "zip: ", what...);
}

// The ZIP64 end record, which lies between the directory and its locator.
Directory read_end64(const InputFile& file, ByteCursor locator, std::uint64_t locator_offset) {
  locator.take(4);
  const std::uint64_t disk = locator.number(4);
  const std::uint64_t offset = locator.number(8);
  const std::uint64_t disks = locator.number(4);
  const Place place = at(file, locator_offset);
  check(disk == 0 && disks <= 1, place, "archives of several disks are not read");
  check(offset <= locator_offset && locator_offset - offset == kEnd64Bytes, place,
        "the ZIP64 end record is out of place");
  const auto bytes = file.read(offset, kEnd64Bytes, "ZIP64 end record");
  ByteCursor in(bytes, file.path(), offset, "zip: ZIP64 end record");
  check(in.number(4) == kEnd64Signature, at(file, offset), "no ZIP64 end record where expected");
  const std::uint64_t record_bytes = in.number(8);
  check(record_bytes == kEnd64Bytes - 12, at(file, offset),
        "ZIP64 end record of unknown length; expected ", kEnd64Bytes - 12, ", found ",
        record_bytes);
  in.take(4);  // versions
  Directory directory;
  directory.disk = in.number(4) | in.number(4);
  directory.entries_here = in.number(8);
  directory.entries = in.number(8);
  directory.bytes = in.number(8);
  directory.offset = in.number(8);
  return directory;
}

// Whether the short end record repeats the long one or refers to it.
bool agrees(std::uint64_t value, std::uint64_t value64, std::uint64_t sentinel) {
  return value == sentinel || value == value64;
}

Directory read_short_end(ByteCursor in) {
  const Place place = in.here();
  check(in.number(4) == kEndSignature, place,
        "no end record; the file is truncated or no ZIP: make or download it again");
  Directory directory;
  directory.disk = in.number(2) | in.number(2);
  directory.entries_here = in.number(2);
  directory.entries = in.number(2);
  directory.bytes = in.number(4);
  directory.offset = in.number(4);
  check(in.number(2) == 0, place, "an archive comment is not expected");
  return directory;
}

Directory read_end(const InputFile& file) {
  check(file.size() >= kEndBytes, Place{file.path(), {}, -1},
        "too short for an end record; expected ", kEndBytes, " bytes, found ", file.size());
  const std::uint64_t tail_bytes = std::min(file.size(), kLocatorBytes + kEndBytes);
  const auto tail = file.read(file.size() - tail_bytes, tail_bytes, "zip: end record");
  std::uint64_t end_offset = file.size() - kEndBytes;
  const Place place = at(file, end_offset);
  const std::span<const std::byte> end_record = std::span(tail).last(kEndBytes);
  Directory directory =
      read_short_end(ByteCursor(end_record, file.path(), end_offset, "zip: end record"));

  const std::uint64_t tail_offset = file.size() - tail_bytes;
  const ByteCursor locator(tail, file.path(), tail_offset, "zip: ZIP64 locator");
  if (tail_offset != end_offset && ByteCursor(locator).number(4) == kLocatorSignature) {
    const Directory long_form = read_end64(file, locator, tail_offset);
    check(directory.disk == 0 || directory.disk == kInZip64Of16Bits, place,
          "archives of several disks are not read");
    check(agrees(directory.entries, long_form.entries, kInZip64Of16Bits) &&
              agrees(directory.bytes, long_form.bytes, kInZip64Of32Bits) &&
              agrees(directory.offset, long_form.offset, kInZip64Of32Bits),
          place, "the two end records disagree");
    directory = long_form;
    end_offset = tail_offset - kEnd64Bytes;
  }
  check(directory.disk == 0 && directory.entries_here == directory.entries, place,
        "archives of several disks are not read");
  check(directory.offset <= end_offset && directory.bytes == end_offset - directory.offset, place,
        "the directory does not end where the end record begins; expected ", end_offset, ", found ",
        directory.offset, " + ", directory.bytes);
  require(directory.bytes <= kMaxDirectoryBytes, ExitCode::unsupported, place,
          "zip: the directory is too long; expected at most ", kMaxDirectoryBytes, " bytes, found ",
          directory.bytes);
  return directory;
}

// The ZIP64 extra field holds, in this order, those of its values that the entry leaves open.
void read_extra(ByteCursor extra, const Place& place, std::uint64_t& full_size, std::uint64_t& size,
                std::uint64_t& offset) {
  while (extra.left() >= 4) {
    const std::uint64_t id = extra.number(2);
    const std::uint64_t length = extra.number(2);
    check(length <= extra.left(), place, "an extra field is longer than its entry");
    if (id != kZip64Extra) {
      extra.take(length);
      continue;
    }
    std::uint64_t left = length;
    for (std::uint64_t* value : {&full_size, &size, &offset}) {
      if (*value != kInZip64Of32Bits) { continue; }
      check(left >= 8, place, "a ZIP64 extra field is too short");
      *value = extra.number(8);
      left -= 8;
    }
    return;
  }
  check(full_size != kInZip64Of32Bits && size != kInZip64Of32Bits && offset != kInZip64Of32Bits,
        place, "a ZIP64 extra field is missing");
}

ZipEntry read_entry(ByteCursor& in, const InputFile& file) {
  const Place place = in.here();
  check(in.number(4) == kEntrySignature, place, "no directory entry where expected");
  in.take(4);  // versions
  const std::uint64_t flags = in.number(2);
  ZipEntry entry;
  entry.method = static_cast<std::uint16_t>(in.number(2));
  in.take(4);  // time and date
  entry.crc32 = static_cast<std::uint32_t>(in.number(4));
  entry.size = in.number(4);
  std::uint64_t full_size = in.number(4);
  const std::uint64_t name_length = in.number(2);
  const std::uint64_t extra_length = in.number(2);
  const std::uint64_t comment_length = in.number(2);
  const std::uint64_t disk = in.number(2);
  in.take(6);  // attributes
  entry.header_offset = in.number(4);
  entry.name = in.take(name_length);
  const auto extra_at = static_cast<std::uint64_t>(in.here().offset);
  const std::string_view extra = in.take(extra_length);
  in.take(comment_length);
  read_extra(ByteCursor(extra, file.path(), extra_at, "zip: extra field"), place, full_size,
             entry.size, entry.header_offset);
  check(!entry.name.empty() && is_utf8(entry.name), place, "an entry name that is not valid UTF-8");
  check((flags & kFlagsRefused) == 0 && disk == 0, place, "entry '", entry.name,
        "' is encrypted or on another disk");
  entry.full_size = full_size;
  check(entry.method != 0 || entry.size == full_size, place, "entry '", entry.name,
        "' is stored with two sizes; expected ", full_size, ", found ", entry.size);
  return entry;
}

// Bytes an entry needs at least: its local header may have an extra field on top.
bool fits(const ZipEntry& entry) {
  const std::uint64_t header = kLocalBytes + entry.name.size();
  return entry.header_offset <= entry.limit && header <= entry.limit - entry.header_offset &&
         entry.size <= entry.limit - entry.header_offset - header;
}

// Each entry ends before the next one begins, the last one before the directory.
void set_limits(std::vector<ZipEntry>& entries, const InputFile& file, std::uint64_t directory) {
  std::sort(entries.begin(), entries.end(),
            [](const ZipEntry& a, const ZipEntry& b) { return a.header_offset < b.header_offset; });
  for (std::size_t i = 0; i < entries.size(); ++i) {
    ZipEntry& entry = entries[i];
    entry.limit = i + 1 < entries.size() ? entries[i + 1].header_offset : directory;
    check(fits(entry), Place{file.path(), {}, -1}, "entry '", entry.name,
          "' overlaps what follows it; expected at most ", entry.limit, ", found ",
          entry.header_offset, " + ", entry.size);
  }
}

}  // namespace

ZipDirectory ZipDirectory::read(const InputFile& file) {
  const Directory directory = read_end(file);
  const auto bytes = file.read(directory.offset, directory.bytes, "zip directory");
  check(directory.entries <= directory.bytes / kEntryBytes, at(file, directory.offset),
        "more entries than the directory has room for: ", directory.entries);
  ByteCursor in(bytes, file.path(), directory.offset, "zip: directory");
  ZipDirectory zip;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    zip.entries_.push_back(read_entry(in, file));
  }
  check(in.left() == 0, in.here(), "bytes between the directory and the end record");
  set_limits(zip.entries_, file, directory.offset);
  std::sort(zip.entries_.begin(), zip.entries_.end(),
            [](const ZipEntry& a, const ZipEntry& b) { return a.name < b.name; });
  const auto twin =
      std::adjacent_find(zip.entries_.begin(), zip.entries_.end(),
                         [](const ZipEntry& a, const ZipEntry& b) { return a.name == b.name; });
  if (twin != zip.entries_.end()) {
    check(false, Place{file.path(), {}, -1}, "duplicate entry '", twin->name, "'");
  }
  return zip;
}

const ZipEntry* ZipDirectory::find(std::string_view name) const {
  const auto found = std::lower_bound(
      entries_.begin(), entries_.end(), name,
      [](const ZipEntry& entry, std::string_view wanted) { return entry.name < wanted; });
  return found != entries_.end() && found->name == name ? &*found : nullptr;
}

std::uint64_t ZipDirectory::data_offset(const InputFile& file, const ZipEntry& entry) const {
  const Place place = at(file, entry.header_offset);
  require(entry.method == 0, ExitCode::unsupported, place, "zip: entry '", entry.name,
          "' is compressed; expected method 0 (stored), found ", entry.method);
  return stored_offset(file, entry);
}

std::uint64_t ZipDirectory::stored_offset(const InputFile& file, const ZipEntry& entry) const {
  const Place place = at(file, entry.header_offset);
  const auto bytes =
      file.read(entry.header_offset, kLocalBytes + entry.name.size(), "zip: local header");
  ByteCursor in(bytes, file.path(), entry.header_offset, "zip: local header");
  const auto agree = [&](bool holds, std::string_view what) {
    check(holds, place, "the local header of '", entry.name,
          "' disagrees with the directory: ", what);
  };
  agree(in.number(4) == kLocalSignature, "signature");
  in.take(2);  // version
  const std::uint64_t flags = in.number(2);
  agree((flags & kFlagsRefused) == 0, "flags");
  agree(in.number(2) == entry.method, "method");
  in.take(4);  // time and date
  // With a data descriptor the values stand behind the data, and 0 here.
  const bool deferred = (flags & kFlagDescriptor) != 0;
  const std::uint64_t crc = in.number(4);
  agree(crc == entry.crc32 || (deferred && crc == 0), "checksum");
  for (const std::uint64_t expected : {entry.size, entry.full_size}) {
    const std::uint64_t size = in.number(4);
    agree(size == expected || size == kInZip64Of32Bits || (deferred && size == 0), "size");
  }
  const std::uint64_t name_length = in.number(2);
  const std::uint64_t extra_length = in.number(2);
  agree(name_length == entry.name.size() && in.take(name_length) == entry.name, "name");
  const std::uint64_t header = kLocalBytes + name_length + extra_length;
  agree(header <= entry.limit - entry.header_offset &&
            entry.size <= entry.limit - entry.header_offset - header,
        "extra field");
  return entry.header_offset + header;
}

}  // namespace kappascope
