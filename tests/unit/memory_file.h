// A file that lives in memory and has a path: readers open it as any other, nothing is left behind.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace kappascope::testing {

class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("test", MFD_CLOEXEC)) {
    if (descriptor_ < 0) { throw std::runtime_error("memfd_create failed"); }
  }
  explicit MemoryFile(std::string_view bytes) : MemoryFile() { assign(bytes); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

  void assign(std::string_view bytes) {
    resize(0);
    write(0, bytes);
  }

  // Holes cost nothing.
  void resize(std::uint64_t size) {
    if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) {
      throw std::runtime_error("ftruncate failed");
    }
  }

  void write(std::uint64_t offset, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n =
          ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n <= 0) { throw std::runtime_error("pwrite failed"); }
      bytes.remove_prefix(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
  }

 private:
  int descriptor_;
};

}  // namespace kappascope::testing
