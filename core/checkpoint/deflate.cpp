#include "core/checkpoint/deflate.h"

#include <zlib.h>

#include <algorithm>
#include <vector>

#include "core/error.h"

namespace kappascope {
namespace {

constexpr std::uint16_t kDeflate = 8;
constexpr std::uint64_t kMostRatio = 1032;  // bytes that one compressed byte can stand for
constexpr std::uint64_t kBlock = 1 << 20;   // bytes at a time

// A raw inflate stream that is ended whatever happens.
struct Stream {
  z_stream state{};

  Stream() { require(inflateInit2(&state, -MAX_WBITS) == Z_OK, ExitCode::memory, {}, "zlib"); }
  ~Stream() { inflateEnd(&state); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
};

}  // namespace

void check_deflated(const ZipEntry& entry, const Place& place) {
  require(entry.method == kDeflate, ExitCode::unsupported, place, "compression of '", entry.name,
          "'; expected method 0 (stored) or 8 (deflate), found ", entry.method);
  require(entry.full_size / kMostRatio <= entry.size, ExitCode::damaged, place,
          "declared size of '", entry.name, "'; expected at most ", kMostRatio, " times the ",
          entry.size, " compressed bytes, found ", entry.full_size);
}

void inflate(const InputFile& file, std::uint64_t begin, const ZipEntry& entry,
             std::span<std::byte> out, const Place& place) {
  Stream stream;
  std::vector<std::byte> block;
  std::uint64_t taken = 0, made = 0;
  int status = Z_OK;
  const bool whole = out.size() == entry.full_size;
  std::byte surplus{};  // where a stream that is longer than declared would go on
  while (status == Z_OK && (made < out.size() || whole)) {
    if (stream.state.avail_in == 0 && taken < entry.size) {
      block = file.read(begin + taken, std::min(kBlock, entry.size - taken), "compressed array");
      taken += block.size();
      stream.state.next_in = reinterpret_cast<Bytef*>(block.data());
      stream.state.avail_in = static_cast<uInt>(block.size());
    }
    const std::uint64_t room = std::min<std::uint64_t>(kBlock, out.size() - made);
    std::byte* target = room > 0 ? out.data() + made : &surplus;
    stream.state.next_out = reinterpret_cast<Bytef*>(target);
    stream.state.avail_out = static_cast<uInt>(std::max<std::uint64_t>(room, 1));
    const uInt before = stream.state.avail_out;
    status = ::inflate(&stream.state, Z_NO_FLUSH);
    const std::uint64_t gained = before - stream.state.avail_out;
    require(gained <= room, ExitCode::damaged, place, "compressed entry '", entry.name,
            "'; expected ", out.size(), " bytes, found more");
    made += gained;
  }
  const bool ends = status == Z_STREAM_END && taken == entry.size && stream.state.avail_in == 0;
  require(made == out.size() && (!whole || ends), ExitCode::damaged, place, "compressed entry '",
          entry.name, "'; expected ", out.size(), " bytes in a whole stream, found ", made);
  if (!whole) { return; }
  const auto sum = static_cast<std::uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(out.data()), out.size()));
  require(sum == entry.crc32, ExitCode::damaged, place, "compressed entry '", entry.name,
          "'; expected the checksum ", entry.crc32, ", found ", sum);
}

}  // namespace kappascope
