#include "core/corpus/byte_source.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <vector>

#include "core/checkpoint/input_file.h"
#include "core/error.h"

namespace kappascope {
namespace {

constexpr std::size_t kPackedBlock = 1 << 17;  // bytes of the file at a time

class PlainBytes final : public ByteSource {
 public:
  explicit PlainBytes(const std::string& path) : file_(InputFile::open(path)) {}

  std::size_t read(std::span<char> into) override {
    const std::size_t count = std::min<std::uint64_t>(into.size(), file_.size() - at_);
    file_.read(at_, std::as_writable_bytes(into.first(count)), "text");
    at_ += count;
    return count;
  }
  std::uint64_t consumed() const override { return at_; }
  const std::string& path() const { return file_.path(); }

 private:
  InputFile file_;
  std::uint64_t at_ = 0;
};

class GzipBytes final : public ByteSource {
 public:
  explicit GzipBytes(const std::string& path) : file_(path), block_(kPackedBlock) {
    constexpr int kGzipOnly = 16;  // added to the window: no zlib stream, no raw one
    require(inflateInit2(&state_, MAX_WBITS + kGzipOnly) == Z_OK, ExitCode::memory,
            {.file = file_.path()}, "no memory for zlib");
  }
  ~GzipBytes() override { inflateEnd(&state_); }
  GzipBytes(const GzipBytes&) = delete;
  GzipBytes& operator=(const GzipBytes&) = delete;

  std::size_t read(std::span<char> into) override {
    const auto room = static_cast<uInt>(std::min<std::size_t>(into.size(), 1 << 30));
    state_.next_out = reinterpret_cast<Bytef*>(into.data());
    state_.avail_out = room;
    while (state_.avail_out == room && has_input()) { inflate_more(); }
    return room - state_.avail_out;
  }
  std::uint64_t consumed() const override { return file_.consumed() - state_.avail_in; }

 private:
  // False at the end of the file, which must be the end of a member.
  bool has_input() {
    if (state_.avail_in > 0) { return true; }
    state_.next_in = reinterpret_cast<Bytef*>(block_.data());
    state_.avail_in = static_cast<uInt>(file_.read(block_));
    require(state_.avail_in > 0 || between_members_, ExitCode::damaged, place(),
            "the gzip stream ends early");
    return state_.avail_in > 0;
  }

  void inflate_more() {
    if (between_members_ && *state_.next_in == 0) {  // tape drives and some servers pad with zeros
      ++state_.next_in;
      --state_.avail_in;
      return;
    }
    if (between_members_) { inflateReset(&state_); }
    between_members_ = false;
    const int status = ::inflate(&state_, Z_NO_FLUSH);
    require(status != Z_MEM_ERROR, ExitCode::memory, place(), "no memory for zlib");
    require(status == Z_OK || status == Z_STREAM_END, ExitCode::damaged, place(),
            "broken gzip stream: ", state_.msg ? state_.msg : "expected a member, found none");
    between_members_ = status == Z_STREAM_END;
  }

  Place place() const {
    return {.file = file_.path(), .offset = static_cast<std::int64_t>(consumed())};
  }

  PlainBytes file_;
  std::vector<char> block_;
  z_stream state_{};
  bool between_members_ = false;
};

class ZstdBytes final : public ByteSource {
 public:
  explicit ZstdBytes(const std::string& path)
      : file_(path), block_(kPackedBlock), stream_(ZSTD_createDStream(), ZSTD_freeDStream) {
    require(stream_ != nullptr, ExitCode::memory, {.file = file_.path()}, "no memory for zstd");
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kWindowLog);
  }

  std::size_t read(std::span<char> into) override {
    ZSTD_outBuffer out{into.data(), into.size(), 0};
    while (out.pos == 0) {
      if (in_.pos == in_.size) { in_ = {block_.data(), file_.read(block_), 0}; }
      const bool at_end = in_.size == 0;
      if (at_end && of_frame_ == 0) { return 0; }
      of_frame_ = ZSTD_decompressStream(stream_.get(), &out, &in_);
      check();
      require(!at_end || out.pos > 0, ExitCode::damaged, place(), "the zstd stream ends early");
    }
    return out.pos;
  }
  std::uint64_t consumed() const override { return file_.consumed() - (in_.size - in_.pos); }

 private:
  // A frame says how much memory its unpacking takes: `zstd --ultra -22` says 128 MiB.
  static constexpr int kWindowLog = 27;

  void check() const {
    if (!ZSTD_isError(of_frame_)) { return; }
    const ZSTD_ErrorCode code = ZSTD_getErrorCode(of_frame_);
    require(code != ZSTD_error_memory_allocation, ExitCode::memory, place(), "no memory for zstd");
    require(code != ZSTD_error_frameParameter_windowTooLarge, ExitCode::unsupported, place(),
            "zstd window; expected at most 128 MiB, found more: "
            "`zstd -d --long=31 -c FILE | zstd -o NEW` packs it anew");
    fail(ExitCode::damaged, place(), "broken zstd stream: ", ZSTD_getErrorName(of_frame_));
  }

  Place place() const {
    return {.file = file_.path(), .offset = static_cast<std::int64_t>(consumed())};
  }

  PlainBytes file_;
  std::vector<char> block_;
  std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream_;
  ZSTD_inBuffer in_{};
  std::size_t of_frame_ = 1;  // 0: a frame has ended and is written out
};

}  // namespace

std::unique_ptr<ByteSource> open_bytes(const std::string& path, Packing packing) {
  if (packing == Packing::gzip) { return std::make_unique<GzipBytes>(path); }
  if (packing == Packing::zstd) { return std::make_unique<ZstdBytes>(path); }
  return std::make_unique<PlainBytes>(path);
}

}  // namespace kappascope
