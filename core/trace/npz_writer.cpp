// Layout of the archive: per array a local header, the .npy header and the data, 64-byte aligned;
// then the central directory. All of it is known once names, types and shapes are, except the
// checksums.
#include <zlib.h>

#include <algorithm>
#include <map>

#include "core/parallel.h"
#include "core/trace/npy_header.h"
#include "core/trace/npz.h"
#include "core/trace/output_file.h"
#include "core/trace/zip_records.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

constexpr std::size_t kWorthAThread = 1 << 20;  // bytes

std::uint32_t crc_of(std::span<const std::byte> data) {
  return static_cast<std::uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(data.data()), data.size()));
}

std::uint32_t crc_joined(std::uint32_t first, std::uint32_t second, std::uint64_t second_length) {
  return static_cast<std::uint32_t>(
      crc32_combine(first, second, static_cast<z_off_t>(second_length)));
}

// A stretch of an array's data that has been written.
struct Piece {
  std::uint64_t length;
  std::uint32_t crc;
};

struct Entry {
  NpyArray array;
  std::string name;    // in the archive
  std::string header;  // of the .npy
  std::uint64_t item_bytes = 0, data_bytes = 0;
  std::uint64_t header_offset = 0, data_offset = 0, padding = 0;
  std::map<std::uint64_t, Piece> pieces;  // by first byte; neighbours are joined at once

  std::uint64_t size() const { return header.size() + data_bytes; }
  bool wide() const { return size() >= kZip32Limit; }
};

Entry make_entry(NpyArray array, const std::string& path) {
  Entry entry;
  entry.item_bytes = static_cast<std::uint64_t>(array.item_bytes());
  entry.data_bytes = entry.item_bytes;
  for (const std::int64_t extent : array.shape) {
    const bool fits =
        extent >= 0 && !__builtin_mul_overflow(entry.data_bytes, extent, &entry.data_bytes);
    require(fits && entry.data_bytes < std::uint64_t{1} << 62, ExitCode::internal,
            Place{path, array.name}, "array too large to write");
  }
  entry.name = array.name + ".npy";
  entry.header = npy_header(array);
  entry.array = std::move(array);
  return entry;
}

// What the records of the archive say of a finished entry.
ZipRecord record_of(const Entry& entry, std::uint32_t crc) {
  return {.name = entry.name,
          .offset = entry.header_offset,
          .size = entry.size(),
          .full_size = entry.size(),
          .crc = crc,
          .wide = entry.wide(),
          .padding = entry.padding};
}

// Gives every entry its place; returns the offset of the central directory.
std::uint64_t lay_out(std::vector<Entry>& entries) {
  std::uint64_t offset = 0;
  for (Entry& entry : entries) {
    entry.header_offset = offset;
    const std::uint64_t unaligned = offset + local_header_size(record_of(entry, 0));
    entry.padding = (kZipAlignment - unaligned % kZipAlignment) % kZipAlignment;
    entry.data_offset = unaligned + entry.padding + entry.header.size();
    offset = entry.data_offset + entry.data_bytes;
  }
  return offset;
}

// Code points of UTF-8 appended as UTF-32LE; returns how many, −1 when `text` is no UTF-8.
std::int64_t append_utf32(std::string_view text, std::string& out) {
  std::int64_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) {
    const CodePoint point = decode_utf8(text, at);
    if (point.length == 0) { return -1; }
    for (int shift = 0; shift < 32; shift += 8) {
      out += static_cast<char>(point.value >> shift & 0xff);
    }
    at += point.length;
  }
  return count;
}

}  // namespace

std::int64_t NpyArray::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) {
    if (extent == 0) { return 0; }
  }
  for (const std::int64_t extent : shape) { product *= extent; }
  return product;
}

std::int64_t NpyArray::item_bytes() const {
  switch (type) {
    case NpyType::boolean:
    case NpyType::int8:
      return 1;
    case NpyType::int16:
      return 2;
    case NpyType::int32:
    case NpyType::float32:
      return 4;
    case NpyType::int64:
    case NpyType::float64:
      return 8;
    case NpyType::text:
      return 4 * std::max<std::int64_t>(text_width, 1);  // NumPy has no '<U0' arrays
  }
  return 1;
}

struct NpzWriter::State {
  explicit State(const std::filesystem::path& path) : file(path) {}

  OutputFile file;
  std::vector<Entry> entries;  // in the order given
  std::map<std::string, std::size_t, std::less<>> index;
  std::uint64_t directory_offset = 0;

  Entry& find(std::string_view name) {
    const auto found = index.find(name);
    require(found != index.end(), ExitCode::internal, Place{file.path(), name},
            "array was not announced");
    return entries[found->second];
  }

  // Keeps book of [first, first+length) in bytes; what was written before may not be written again.
  void add_piece(Entry& entry, std::uint64_t first, std::uint64_t length, std::uint32_t crc) {
    auto next = entry.pieces.lower_bound(first);
    auto before = next == entry.pieces.begin() ? entry.pieces.end() : std::prev(next);
    const bool has_before = before != entry.pieces.end();
    const bool twice = (next != entry.pieces.end() && next->first < first + length) ||
                       (has_before && before->first + before->second.length > first);
    require(!twice, ExitCode::internal, Place{file.path(), entry.array.name}, "element ",
            first / entry.item_bytes, " or one soon after it is written twice");
    if (has_before && before->first + before->second.length == first) {
      before->second.crc = crc_joined(before->second.crc, crc, length);
      before->second.length += length;
    } else {
      before = entry.pieces.emplace_hint(next, first, Piece{length, crc});
    }
    if (next != entry.pieces.end() && next->first == first + length) {
      before->second.crc = crc_joined(before->second.crc, next->second.crc, next->second.length);
      before->second.length += next->second.length;
      entry.pieces.erase(next);
    }
  }

  void put(Entry& entry, std::int64_t first, std::span<const std::byte> data) {
    const std::uint64_t begin = static_cast<std::uint64_t>(first) * entry.item_bytes;
    const bool inside = first >= 0 && data.size() % entry.item_bytes == 0 &&
                        static_cast<std::uint64_t>(first) <= entry.data_bytes / entry.item_bytes &&
                        data.size() <= entry.data_bytes - begin;
    require(inside, ExitCode::internal, Place{file.path(), entry.array.name},
            "piece outside the array");
    if (data.empty()) { return; }
    std::uint32_t crc = 0;
    const auto sum_or_write = [&](std::int64_t part) {
      if (part == 0) {
        crc = crc_of(data);
      } else {
        file.write_at(entry.data_offset + begin, data);
      }
    };
    if (data.size() >= kWorthAThread) {  // summing up takes as long as writing
      for_each_parallel(2, sum_or_write);
    } else {
      sum_or_write(0);
      sum_or_write(1);
    }
    add_piece(entry, begin, data.size(), crc);
  }

  // Of the whole entry; every element must have been written.
  std::uint32_t checksum(const Entry& entry) const {
    const bool complete =
        entry.data_bytes == 0 ||
        (entry.pieces.size() == 1 && entry.pieces.begin()->second.length == entry.data_bytes);
    require(complete, ExitCode::internal, Place{file.path(), entry.array.name},
            "not every element was written");
    const std::uint32_t crc = crc_of(std::as_bytes(std::span(entry.header)));
    return entry.data_bytes == 0
               ? crc
               : crc_joined(crc, entry.pieces.begin()->second.crc, entry.data_bytes);
  }
};

NpzWriter::NpzWriter(const std::filesystem::path& path, std::vector<NpyArray> arrays)
    : state_(std::make_unique<State>(path)) {
  State& state = *state_;
  for (NpyArray& array : arrays) {
    const bool fresh = state.index.emplace(array.name, state.entries.size()).second;
    require(fresh, ExitCode::internal, Place{state.file.path(), array.name}, "array twice");
    state.entries.push_back(make_entry(std::move(array), state.file.path()));
  }
  state.directory_offset = lay_out(state.entries);
  state.file.reserve(state.directory_offset);
}

NpzWriter::~NpzWriter() = default;

void NpzWriter::write(std::string_view array, std::int64_t first, std::span<const std::byte> data) {
  state_->put(state_->find(array), first, data);
}

void NpzWriter::write_text(std::string_view array, std::int64_t first,
                           std::span<const std::string> items) {
  constexpr std::size_t kTextBlock = 1 << 20;
  Entry& entry = state_->find(array);
  const Place place{state_->file.path(), array};
  require(entry.array.type == NpyType::text, ExitCode::internal, place, "not a text array");
  std::string block;
  std::int64_t begin = first;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::size_t item_begin = block.size();
    const std::int64_t points = append_utf32(items[i], block);
    require(points >= 0, ExitCode::internal, place, "text is not valid UTF-8");
    require(points <= entry.array.text_width, ExitCode::internal, place, "text over the width");
    block.resize(item_begin + entry.item_bytes, '\0');
    if (block.size() < kTextBlock && i + 1 < items.size()) { continue; }
    state_->put(entry, begin, std::as_bytes(std::span(block)));
    begin = first + static_cast<std::int64_t>(i) + 1;
    block.clear();
  }
}

void NpzWriter::finish() {
  State& state = *state_;
  ZipBytes directory;
  for (const Entry& entry : state.entries) {
    const std::uint32_t crc = state.checksum(entry);
    const ZipRecord record = record_of(entry, crc);
    const std::string header = local_header(record).text() + entry.header;
    state.file.write_at(entry.header_offset, std::as_bytes(std::span(header)));
    put_directory_entry(directory, record);
  }
  put_end(directory, state.entries.size(), state.directory_offset, directory.size());
  state.file.write_at(state.directory_offset, directory.bytes());
  state.file.finish();
}

}  // namespace kappascope
