#include <zlib.h>

#include <algorithm>
#include <vector>

#include "core/trace/npz.h"
#include "core/trace/output_file.h"
#include "core/trace/zip_records.h"

namespace kappascope {
namespace {

constexpr std::uint64_t kBlock = 1 << 20;  // bytes at a time
constexpr std::uint16_t kDeflate = 8;

// Deflate gains nothing on such data, and adds less than this share of them.
constexpr std::uint64_t kMostGrowth = 256;

// A raw deflate stream, of the level that numpy.savez_compressed uses.
struct Stream {
  z_stream state{};

  Stream() {
    const int status =
        deflateInit2(&state, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    require(status == Z_OK, ExitCode::memory, {}, "no memory to compress with");
  }
  ~Stream() { deflateEnd(&state); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
};

// Deflates `size` bytes of `in` from `begin` to `out` at `offset`; returns how many were written.
std::uint64_t deflate_bytes(const InputFile& in, std::uint64_t begin, std::uint64_t size,
                            OutputFile& out, std::uint64_t offset) {
  Stream stream;
  std::vector<std::byte> block, packed(kBlock);
  std::uint64_t taken = 0, written = 0;
  for (int status = Z_OK; status == Z_OK;) {
    if (stream.state.avail_in == 0 && taken < size) {
      block = in.read(begin + taken, std::min(kBlock, size - taken), "array");
      taken += block.size();
      stream.state.next_in = reinterpret_cast<Bytef*>(block.data());
      stream.state.avail_in = static_cast<uInt>(block.size());
    }
    stream.state.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.state.avail_out = static_cast<uInt>(packed.size());
    status = deflate(&stream.state, taken == size ? Z_FINISH : Z_NO_FLUSH);
    require(status == Z_OK || status == Z_STREAM_END, ExitCode::internal, Place{out.path()},
            "deflate: ", status);
    const std::uint64_t made = packed.size() - stream.state.avail_out;
    out.write_at(offset + written, std::span(packed).first(made));
    written += made;
  }
  return written;
}

}  // namespace

void compress_npz(const std::filesystem::path& from, const std::filesystem::path& to) {
  const InputFile in = InputFile::open(from);
  const ZipDirectory archive = ZipDirectory::read(in);
  OutputFile out(to);
  ZipBytes directory;
  std::uint64_t offset = 0;
  for (const ZipEntry& entry : archive.entries()) {
    ZipRecord record{.name = entry.name,
                     .offset = offset,
                     .full_size = entry.full_size,
                     .crc = entry.crc32,
                     .method = kDeflate};
    record.wide = entry.full_size + entry.full_size / kMostGrowth >= kZip32Limit;
    offset += local_header_size(record);
    record.size = deflate_bytes(in, archive.data_offset(in, entry), entry.size, out, offset);
    out.write_at(record.offset, local_header(record).bytes());
    put_directory_entry(directory, record);
    offset += record.size;
  }
  put_end(directory, archive.entries().size(), offset, directory.size());
  out.write_at(offset, directory.bytes());
  out.finish();
}

void compress_npz(const std::filesystem::path& path) {
  std::filesystem::path packed = path;
  packed += ".packed";
  compress_npz(path, packed);
  std::filesystem::rename(packed, path);
}

}  // namespace kappascope
