// The fields of one protobuf message, from bytes we do not trust.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/checkpoint/byte_cursor.h"

namespace kappascope {

// One field as it stands in the message: only the value of its wire type is set.
struct ProtobufField {
  std::uint32_t number = 0;
  std::uint64_t varint = 0;  // of wire type 0
  std::string_view bytes;    // of wire type 2
  std::uint32_t fixed32 = 0;
  enum class Wire : std::uint8_t { varint, fixed64, bytes, fixed32 } wire = Wire::varint;
  std::uint64_t offset = 0;  // of `bytes` in the file
};

class ProtobufReader {
 public:
  // `offset`: where `message` starts in `file`, which is for messages.
  ProtobufReader(std::string_view message, std::string_view file, std::uint64_t offset)
      : cursor_(message, file, offset, "a field"), file_(file), end_(offset + message.size()) {}

  // The next field; false at the end. A field of a kind that is not known or longer than the
  // message: damaged.
  bool next(ProtobufField& field) {
    using Wire = ProtobufField::Wire;
    if (cursor_.left() == 0) { return false; }
    const Place start = cursor_.here();
    const std::uint64_t tag = varint();
    const std::uint64_t number = tag >> 3;
    require(number > 0 && number < (std::uint64_t{1} << 29), ExitCode::damaged, start,
            "expected the number of a field, found ", number);
    field = {};
    field.number = static_cast<std::uint32_t>(number);
    switch (tag & 7) {
      case 0:
        field.wire = Wire::varint;
        field.varint = varint();
        return true;
      case 1:
        field.wire = Wire::fixed64;
        cursor_.take(8);
        return true;
      case 2:
        field.wire = Wire::bytes;
        take_bytes(field);
        return true;
      case 5:
        field.wire = Wire::fixed32;
        field.fixed32 = static_cast<std::uint32_t>(cursor_.number(4));
        return true;
      default:
        fail(ExitCode::damaged, start, "field ", number,
             "; expected a wire type 0, 1, 2 or 5, found ", tag & 7);
    }
  }

 private:
  void take_bytes(ProtobufField& field) {
    const std::uint64_t length = varint();
    field.offset = end_ - cursor_.left();
    field.bytes = cursor_.take(length);
  }

  std::uint64_t varint() {
    const Place start = cursor_.here();
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint64_t byte = cursor_.number(1);
      value |= (byte & 0x7F) << shift;
      if (byte < 0x80) { return value; }
    }
    fail(ExitCode::damaged, start, "expected a number of at most 10 bytes, found a longer one");
  }

  ByteCursor cursor_;
  std::string_view file_;
  std::uint64_t end_;
};

}  // namespace kappascope
