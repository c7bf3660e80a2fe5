// Compressed entries of an archive (RFC 1951, method 8 of ZIP).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/checkpoint/zip.h"

namespace kappascope {

// Refuses a method other than deflate (unsupported), and a declared size that no deflate stream of
// the entry's length reaches (damaged): who allocates full_size bytes after this allocates at most
// 1032 times what the file holds.
void check_deflated(const ZipEntry& entry, const Place& place);

// Fills `out` with the first bytes of the entry whose `entry.size` compressed bytes begin at
// `begin` of the file. Where that is all of it (full_size bytes), the stream must end there, use
// all of its bytes and have the checksum of the directory. Else damaged.
void inflate(const InputFile& file, std::uint64_t begin, const ZipEntry& entry,
             std::span<std::byte> out, const Place& place);

}  // namespace kappascope
