#include "core/figure/png.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/error.h"

namespace kappascope {
namespace {

constexpr const char* kPaletteChunk = "PLTE";

void put_u32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) { out += static_cast<char>(value >> shift & 0xFF); }
}

// length, type, data, CRC of type and data
void put_chunk(std::string& out, const char* type, std::string_view data) {
  put_u32(out, static_cast<std::uint32_t>(data.size()));
  const std::size_t start = out.size();
  out += type;
  out += data;
  const auto* bytes = reinterpret_cast<const Bytef*>(out.data() + start);
  put_u32(out, static_cast<std::uint32_t>(crc32(0, bytes, static_cast<uInt>(out.size() - start))));
}

std::string png_start(std::int64_t width, std::int64_t height, int colour_type) {
  std::string out = "\x89PNG\r\n\x1a\n";
  std::string header;
  put_u32(header, static_cast<std::uint32_t>(width));
  put_u32(header, static_cast<std::uint32_t>(height));
  header += {8, static_cast<char>(colour_type), 0, 0, 0};  // bits, type, deflate, no interlace
  put_chunk(out, "IHDR", header);
  return out;
}

class Deflater {
 public:
  Deflater(int level, std::size_t most) : most_(most) {
    require(deflateInit(&stream_, level) == Z_OK, ExitCode::memory, {}, "zlib cannot start");
  }
  ~Deflater() { deflateEnd(&stream_); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  // False when more than `most` bytes came out.
  bool add(std::span<std::uint8_t> bytes, bool last) {
    stream_.next_in = bytes.data();
    stream_.avail_in = static_cast<uInt>(bytes.size());
    do {
      char block[1 << 14];
      stream_.next_out = reinterpret_cast<Bytef*>(block);
      stream_.avail_out = sizeof block;
      deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
      out_.append(block, sizeof block - stream_.avail_out);
      if (out_.size() > most_) { return false; }
    } while (stream_.avail_out == 0);
    return true;
  }
  const std::string& out() const { return out_; }

 private:
  z_stream stream_{};
  std::string out_;
  std::size_t most_;
};

std::uint8_t paeth(int left, int up, int corner) {
  const int guess = left + up - corner;
  const int a = std::abs(guess - left), b = std::abs(guess - up), c = std::abs(guess - corner);
  return static_cast<std::uint8_t>(a <= b && a <= c ? left : b <= c ? up : corner);
}

}  // namespace

std::string palette_png(std::int64_t width, std::int64_t height, std::span<const Colour> palette,
                        const PngRow& row, std::size_t most, bool first_clear) {
  std::string colours;
  for (const Colour c : palette) {
    colours += {static_cast<char>(c.red), static_cast<char>(c.green), static_cast<char>(c.blue)};
  }
  Deflater deflater(6, most);
  std::vector<std::uint8_t> line(static_cast<std::size_t>(width) + 1);  // filter byte 0 in front
  for (std::int64_t y = 0; y < height; ++y) {
    row(y, std::span(line).subspan(1));
    if (!deflater.add(line, y + 1 == height)) { return ""; }
  }
  std::string out = png_start(width, height, 3);
  put_chunk(out, kPaletteChunk, colours);
  if (first_clear) { put_chunk(out, "tRNS", std::string(1, '\0')); }
  put_chunk(out, "IDAT", deflater.out());
  put_chunk(out, "IEND", "");
  return out;
}

void recolour(std::string& png, const std::function<Colour(Colour)>& other) {
  const std::size_t at = png.find(kPaletteChunk), data = at + 4;
  if (at == std::string::npos) { return; }
  const auto byte = [&](std::size_t i) -> std::uint8_t {
    return static_cast<std::uint8_t>(png[i]);
  };
  std::size_t size = 0;
  for (std::size_t i = at - 4; i < at; ++i) { size = size << 8 | byte(i); }
  std::string colours;
  for (std::size_t i = data; i < data + size; i += 3) {
    const Colour colour = other({byte(i), byte(i + 1), byte(i + 2)});
    colours += {static_cast<char>(colour.red), static_cast<char>(colour.green),
                static_cast<char>(colour.blue)};
  }
  std::string chunk;
  put_chunk(chunk, kPaletteChunk, colours);
  png.replace(at - 4, chunk.size(), chunk);
}

std::string rgb_png(std::int64_t width, std::int64_t height, double dpi,
                    std::span<const std::pair<std::string, std::string>> texts, const PngRow& row,
                    bool alpha) {
  const std::size_t channels = alpha ? 4 : 3, bytes = static_cast<std::size_t>(width) * channels;
  std::vector<std::uint8_t> before(bytes), now(bytes), line(bytes + 1);
  Deflater deflater(6, SIZE_MAX);
  for (std::int64_t y = 0; y < height; ++y) {
    row(y, now);
    line[0] = 4;
    for (std::size_t i = 0; i < bytes; ++i) {
      const int left = i < channels ? 0 : now[i - channels];
      const int corner = i < channels ? 0 : before[i - channels];
      line[i + 1] = static_cast<std::uint8_t>(now[i] - paeth(left, before[i], corner));
    }
    deflater.add(line, y + 1 == height);
    before.swap(now);
  }
  std::string out = png_start(width, height, alpha ? 6 : 2);
  const auto per_metre = static_cast<std::uint32_t>(std::lround(dpi / 0.0254));
  std::string resolution;
  put_u32(resolution, per_metre);
  put_u32(resolution, per_metre);
  resolution += '\x01';
  put_chunk(out, "pHYs", resolution);
  for (const auto& [key, text] : texts) {  // keyword, 0, not packed, no language, no translation
    put_chunk(out, "iTXt", key.substr(0, 79) + std::string(5, '\0') + text);
  }
  put_chunk(out, "IDAT", deflater.out());
  put_chunk(out, "kaPs", "kappascope");  // a private chunk: who may replace the file
  put_chunk(out, "IEND", "");
  return out;
}

std::string base64(std::string_view bytes) {
  static constexpr char kLetters[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= n ? kLetters[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

}  // namespace kappascope
