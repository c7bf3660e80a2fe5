// In place of core/checkpoint/deflate.cpp: the checks read no compressed entries, and the machine
// may lack zlib.
#include "core/checkpoint/deflate.h"
#include "core/error.h"

namespace kappascope {

void check_deflated(const ZipEntry& entry, const Place& place) {
  fail(ExitCode::unsupported, place, "compression of '", entry.name, "'; expected none");
}

void inflate(const InputFile&, std::uint64_t, const ZipEntry& entry, std::span<std::byte>,
             const Place& place) {
  check_deflated(entry, place);
}

}  // namespace kappascope
