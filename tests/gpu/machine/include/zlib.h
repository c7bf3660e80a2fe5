// The checksums of zlib that core uses, for machines without zlib's header. Not used by the
// program.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

using Bytef = unsigned char;
using uLong = unsigned long;
using z_size_t = std::size_t;
using z_off_t = long;

namespace checksum {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) { value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0); }
    table[byte] = value;
  }
  return table;
}
inline constexpr std::array<std::uint32_t, 256> kTable = make_table();

constexpr std::uint32_t step(std::uint32_t state, std::uint8_t byte) {
  return kTable[(state ^ byte) & 0xff] ^ state >> 8;
}

}  // namespace checksum

// CRC-32 of `size` bytes after those that gave `before`.
inline uLong crc32_z(uLong before, const Bytef* bytes, z_size_t size) {
  std::uint32_t state = ~std::uint32_t(before);
  for (z_size_t i = 0; i < size; ++i) { state = checksum::step(state, bytes[i]); }
  return std::uint32_t(~state);
}

// Of two pieces one after the other, from the checksum of each and the length of the second.
inline uLong crc32_combine(uLong first, uLong second, z_off_t length) {
  std::uint32_t state = std::uint32_t(first);
  for (z_off_t i = 0; i < length; ++i) { state = checksum::step(state, 0); }
  return state ^ std::uint32_t(second);
}
