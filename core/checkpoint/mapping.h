// A mapped file that another program may shorten while it is read.
//
// Reading a page that the file no longer has raises SIGBUS, which ends a process. The handler here
// puts pages of zeros in place of the rest of that mapping and marks it as broken: the reader goes
// on with zeros, and whoever uses what was read asks broken() before believing it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace kappascope {

// One mapping, as the handler sees it. Entries are made once and used again, never freed: the
// handler may walk the list at any time, without a lock.
struct MappingEntry {
  std::atomic<std::uintptr_t> begin = 0;  // 0: not in use
  std::atomic<std::size_t> size = 0;
  std::atomic<bool> taken = false;
  std::atomic<bool> broken = false;
  MappingEntry* next = nullptr;
};

class Mapping {
 public:
  // Maps the first `size` > 0 bytes of the file, read only. nullptr with errno set when the system
  // refuses.
  static Mapping* make(int descriptor, std::size_t size);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  const std::byte* data() const { return data_; }
  // True once a page could not be read: some of what was read since is zeros.
  bool broken() const { return entry_->broken; }
  // Says that the range is not needed soon; its pages leave the resident size of the process.
  void release(std::size_t offset, std::size_t length) const;
  // Says that the range is needed soon; the kernel reads it in the background.
  void prefetch(std::size_t offset, std::size_t length) const;

 private:
  Mapping(const std::byte* data, std::size_t size, MappingEntry* entry)
      : data_(data), size_(size), entry_(entry) {}
  void advise(std::size_t offset, std::size_t length, int advice) const;
  const std::byte* data_;
  std::size_t size_;
  MappingEntry* entry_;
};

}  // namespace kappascope
