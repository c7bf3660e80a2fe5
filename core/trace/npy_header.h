// The header of a .npy array: magic, version and a Python dict literal in text (NumPy's own
// numpy/lib/format.py describes it).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/trace/npz.h"

namespace kappascope {

// Version 1.0, padded with spaces to a multiple of 64 bytes as NumPy does.
std::string npy_header(const NpyArray& array);

// Length of a header from its first bytes (magic to length field): at least kNpyPreamble of them,
// or fewer when the entry itself is shorter. Not .npy, or versions but 1 to 3: damaged.
inline constexpr std::size_t kNpyPreamble = 12;
struct NpyPreamble {
  std::uint64_t text_begin = 0;   // 10 or 12
  std::uint64_t text_length = 0;  // of the dict, padding included
};
NpyPreamble parse_npy_preamble(std::string_view bytes, const Place& place);

// What the dict's text says, whatever the type. Malformed, or an extent over 2^63: damaged.
struct NpyDict {
  std::string descr;  // "<i4"
  bool fortran = false;
  std::vector<std::int64_t> shape;
};
NpyDict parse_npy_text(std::string_view text, const Place& place);

// Type, shape and text width from the dict's text. Malformed, an extent over 2^63 or a product of
// extents over it: damaged; other types, Fortran order, big endian: unsupported.
NpyArray parse_npy_dict(std::string_view text, std::string_view name, const Place& place);

}  // namespace kappascope
