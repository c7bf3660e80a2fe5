// The bytes of a file one after another, unpacked on the way where its name says that it is packed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace kappascope {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills the front of `into`, which has room for at least one byte, and returns how many bytes
  // these are; 0: the end. Cannot be read: io. The stream is broken or ends early: damaged, with
  // the offset in the file. Memory does not grow with what is unpacked.
  virtual std::size_t read(std::span<char> into) = 0;
  // Bytes of the file itself that were taken so far.
  virtual std::uint64_t consumed() const = 0;
};

// How the file is packed, by the end of its name.
enum class Packing : std::uint8_t { none, gzip, zstd };

// Opens a regular file. Of gzip members and zstd frames all are read, one after another. Missing,
// no permission: io; no regular file: damaged.
std::unique_ptr<ByteSource> open_bytes(const std::string& path, Packing packing);

}  // namespace kappascope
