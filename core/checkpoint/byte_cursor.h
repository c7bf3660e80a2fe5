// Reads numbers and texts off the front of bytes we do not trust.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/error.h"

namespace kappascope {

class ByteCursor {
 public:
  // `file`, `base_offset` (of the first byte in it) and `what` are for messages.
  ByteCursor(std::span<const std::byte> bytes, std::string_view file, std::uint64_t base_offset,
             std::string_view what)
      : ByteCursor(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
                   file, base_offset, what) {}
  ByteCursor(std::string_view bytes, std::string_view file, std::uint64_t base_offset,
             std::string_view what)
      : bytes_(bytes), file_(file), base_offset_(base_offset), what_(what) {}

  std::size_t left() const { return bytes_.size() - at_; }
  Place here() const { return {file_, {}, static_cast<std::int64_t>(base_offset_ + at_)}; }

  // The next `length` bytes; damaged when there are fewer.
  std::string_view take(std::uint64_t length) {
    require(length <= left(), ExitCode::damaged, here(), what_, " ends too early; expected ",
            length, " bytes, found ", left());
    const std::string_view taken = bytes_.substr(at_, length);
    at_ += length;
    return taken;
  }

  // Unsigned, little-endian, `width` ≤ 8 bytes.
  std::uint64_t number(std::size_t width) {
    std::uint64_t value = 0;
    const std::string_view digits = take(width);
    for (std::size_t i = width; i-- > 0;) {
      value = value << 8 | static_cast<std::uint8_t>(digits[i]);
    }
    return value;
  }

  // Up to the next line feed, which is taken too.
  std::string_view line() {
    const std::size_t end = bytes_.find('\n', at_);
    require(end != bytes_.npos, ExitCode::damaged, here(), what_, " ends inside a name");
    const std::string_view taken = take(end - at_);
    ++at_;
    return taken;
  }

 private:
  std::string_view bytes_;
  std::string_view file_;
  std::uint64_t base_offset_;
  std::string_view what_;
  std::size_t at_ = 0;
};

}  // namespace kappascope
