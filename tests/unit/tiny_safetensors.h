// Small safetensors files, sound and broken.
#pragma once

#include <cstdint>
#include <string>

namespace kappascope::testing {

// A file of this header and so many bytes of data, 0, 1, 2, …
inline std::string safetensors_of(const std::string& header, std::size_t data) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(std::uint64_t{header.size()} >> (8 * i));
  }
  bytes += header;
  for (std::size_t i = 0; i < data; ++i) { bytes += static_cast<char>(i); }
  return bytes;
}

// The entry of a tensor in a header.
inline std::string safetensors_entry(const std::string& dtype, const std::string& shape,
                                     const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

}  // namespace kappascope::testing
