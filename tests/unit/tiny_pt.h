// Small checkpoints made by hand, byte by byte, right or wrong on purpose.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/unit/memory_file.h"

namespace kappascope::testing {

// Little-endian, `width` bytes.
inline std::string number(std::uint64_t value, std::size_t width) {
  std::string bytes;
  for (std::size_t i = 0; i < width; ++i, value >>= 8) { bytes += static_cast<char>(value & 0xFF); }
  return bytes;
}

// --- pickles ------------------------------------------------------------------------------------
// Each function gives the opcodes that push one value.

namespace pickled {

inline std::string text(std::string_view value) {
  return "X" + number(value.size(), 4) + std::string(value);
}
inline std::string integer(std::int64_t value) {
  return "\x8a\x08" + number(static_cast<std::uint64_t>(value), 8);
}
inline std::string joined(const std::vector<std::string>& values) {
  std::string bytes;
  for (const std::string& value : values) { bytes += value; }
  return bytes;
}
inline std::string tuple(const std::vector<std::string>& values) {
  return "(" + joined(values) + "t";
}
inline std::string list(const std::vector<std::string>& values) {
  return "](" + joined(values) + "e";
}
// key, value, key, value …
inline std::string dict(const std::vector<std::string>& items) {
  return "}(" + joined(items) + "u";
}
inline std::string global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
inline std::string call(const std::string& function, const std::string& arguments) {
  return function + arguments + "R";
}
inline std::string ordered_dict() {
  return call(global("collections", "OrderedDict"), ")");
}
inline std::string file(const std::string& value, char protocol = 2) {
  return std::string("\x80") + protocol + value + ".";
}

inline std::string integers(const std::vector<std::int64_t>& values) {
  std::vector<std::string> parts;
  for (const std::int64_t value : values) { parts.push_back(integer(value)); }
  return tuple(parts);
}

struct Tensor {
  std::string type = "FloatStorage";
  std::string key = "0";
  std::int64_t storage_elements = 6;
  std::int64_t offset = 0;
  std::vector<std::int64_t> shape = {2, 3};
  std::vector<std::int64_t> strides = {3, 1};
};

// A storage as torch.save names it, its parts as opcodes.
inline std::string persistent_id(std::string_view word, const std::string& type,
                                 const std::string& key, const std::string& size) {
  return tuple({text(word), type, key, text("cpu"), size}) + "Q";
}
// `type`: opcodes; `size`: elements.
inline std::string storage(const std::string& type, std::string_view key, std::int64_t size) {
  return persistent_id("storage", type, text(key), integer(size));
}

inline std::string tensor(const Tensor& t) {
  return call(global("torch._utils", "_rebuild_tensor_v2"),
              tuple({storage(global("torch", t.type), t.key, t.storage_elements), integer(t.offset),
                     integers(t.shape), integers(t.strides), "\x89", ordered_dict()}));
}

}  // namespace pickled

// --- archives -----------------------------------------------------------------------------------

struct TinyEntry {
  std::string name;
  std::string data;
  std::uint64_t hole = 0;  // zero bytes after `data`, not written
  std::uint16_t method = 0;
  std::uint16_t flags = 0x0808;            // data descriptor, UTF-8: as torch writes them
  std::optional<std::uint32_t> crc = {};   // a wrong one
  std::optional<std::uint64_t> size = {};  // a wrong one, in the directory
  std::optional<std::uint64_t> header_offset = {};
  std::optional<std::uint32_t> full_size = {};  // of what is compressed, in the directory
};

struct TinyZip {
  std::vector<std::pair<std::uint64_t, std::string>> pieces;  // offset, bytes; holes in between
  std::uint64_t size = 0;
  std::vector<std::uint64_t> data_offsets;  // of each entry
  std::uint64_t directory_offset = 0;

  void add(const std::string& bytes) {
    pieces.emplace_back(size, bytes);
    size += bytes.size();
  }
  std::string flat() const {
    std::string bytes(size, '\0');
    for (const auto& [offset, piece] : pieces) { bytes.replace(offset, piece.size(), piece); }
    return bytes;
  }
  void write(MemoryFile& file) const {
    file.resize(size);
    for (const auto& [offset, piece] : pieces) { file.write(offset, piece); }
  }
};

inline std::uint32_t checksum(std::string_view data) {
  return static_cast<std::uint32_t>(
      ::crc32_z(0, reinterpret_cast<const Bytef*>(data.data()), data.size()));
}

// One line of the directory.
inline std::string directory_entry(const TinyEntry& entry, std::uint64_t header_offset,
                                   std::uint32_t crc) {
  constexpr std::uint64_t kSentinel = 0xFFFFFFFF;
  const std::uint64_t size = entry.size.value_or(entry.data.size() + entry.hole);
  const std::uint64_t offset = entry.header_offset.value_or(header_offset);
  std::string values;
  if (size >= kSentinel) { values += number(size, 8) + number(size, 8); }
  if (offset >= kSentinel) { values += number(offset, 8); }
  const std::string extra = values.empty() ? "" : number(1, 2) + number(values.size(), 2) + values;
  return "PK\1\2" + number(0, 4) + number(entry.flags, 2) + number(entry.method, 2) + number(0, 4) +
         number(crc, 4) + number(std::min(size, kSentinel), 4) +
         number(entry.full_size.value_or(std::min(size, kSentinel)), 4) +
         number(entry.name.size(), 2) + number(extra.size(), 2) + number(0, 2 + 2 + 2 + 4) +
         number(std::min(offset, kSentinel), 4) + entry.name + extra;
}

// As torch.save lays it out: data aligned to 64 bytes, ZIP64 end records.
inline TinyZip tiny_zip(const std::vector<TinyEntry>& entries, bool zip64 = true) {
  TinyZip zip;
  std::string directory;
  for (const TinyEntry& entry : entries) {
    const std::uint32_t crc = entry.crc.value_or(checksum(entry.data));
    const std::uint64_t header_offset = zip.size;
    const std::uint64_t header = 30 + entry.name.size() + 4;
    const std::uint64_t padding = (64 - (header_offset + header) % 64) % 64;
    zip.add("PK\3\4" + number(0, 2) + number(entry.flags, 2) + number(entry.method, 2) +
            number(0, 4) + number(0, 12) + number(entry.name.size(), 2) + number(4 + padding, 2) +
            entry.name + "FB" + number(padding, 2) + std::string(padding, 'Z'));
    zip.data_offsets.push_back(zip.size);
    zip.add(entry.data);
    zip.size += entry.hole;
    directory += directory_entry(entry, header_offset, crc);
  }
  zip.directory_offset = zip.size;
  zip.add(directory);
  const std::uint64_t end64 = zip.size;
  if (zip64) {
    zip.add("PK\6\6" + number(44, 8) + number(0, 4) + number(0, 8) + number(entries.size(), 8) +
            number(entries.size(), 8) + number(directory.size(), 8) +
            number(zip.directory_offset, 8));
    zip.add("PK\6\7" + number(0, 4) + number(end64, 8) + number(1, 4));
  }
  const std::uint64_t offset = std::min<std::uint64_t>(zip.directory_offset, 0xFFFFFFFF);
  zip.add("PK\5\6" + number(0, 4) + number(entries.size(), 2) + number(entries.size(), 2) +
          number(directory.size(), 4) + number(offset, 4) + number(0, 2));
  return zip;
}

// --- checkpoints --------------------------------------------------------------------------------

inline std::vector<TinyEntry> checkpoint_entries(const std::string& pickle) {
  const auto entry = [](std::string name, std::string data) {
    TinyEntry made;
    made.name = std::move(name);
    made.data = std::move(data);
    return made;
  };
  return {entry("tiny/data.pkl", pickle),
          entry("tiny/byteorder", "little"),
          entry("tiny/data/0", number(0x3F800000, 4) + number(0xC0000000, 4) + std::string(16, 0)),
          entry("tiny/data/1", number(0x3F80, 2) + number(0xC000, 2) + number(0x7FC0, 2)),
          entry("tiny/data/2", number(7, 8)),
          entry("tiny/version", "3\n")};
}

// weight [2,3] float32 = {1, −2, 0 …}, scale [3] bfloat16 = {1, −2, NaN}, step [] int64 = 7.
inline std::string checkpoint_pickle() {
  using namespace pickled;
  return file(dict({text("weight"), tensor({}), text("scale"),
                    tensor({"BFloat16Storage", "1", 3, 0, {3}, {1}}), text("step"),
                    tensor({"LongStorage", "2", 1, 0, {}, {}})}));
}

inline TinyZip tiny_checkpoint(const std::string& pickle = checkpoint_pickle()) {
  return tiny_zip(checkpoint_entries(pickle));
}

// A checkpoint with one tensor "w".
inline TinyZip checkpoint_of(const std::string& value) {
  return tiny_checkpoint(pickled::file(pickled::dict({pickled::text("w"), value})));
}

}  // namespace kappascope::testing
