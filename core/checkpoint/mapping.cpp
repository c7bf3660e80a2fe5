#include "core/checkpoint/mapping.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <new>

namespace kappascope {
namespace {

// A signal handler has no argument of ours, hence the only variables of this kind in core. The
// program and each engine library have their own list and handler; a handler that does not know an
// address asks the one before it.
std::atomic<MappingEntry*> first_entry = nullptr;
struct sigaction former_action;
std::uintptr_t page_bytes = 0;  // set before the handler is

MappingEntry* entry_of(std::uintptr_t address) {
  for (MappingEntry* entry = first_entry; entry != nullptr; entry = entry->next) {
    const std::uintptr_t begin = entry->begin;
    if (begin != 0 && address >= begin && address - begin < entry->size) { return entry; }
  }
  return nullptr;
}

// Only what a signal handler may call: atomics without locks, mmap, sigaction.
void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  MappingEntry* entry = entry_of(address);
  if (entry != nullptr) {
    entry->broken = true;
    const std::uintptr_t page = address / page_bytes * page_bytes;
    const std::uintptr_t end = entry->begin + entry->size;
    void* zeros = ::mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    errno = saved_errno;
    if (zeros != MAP_FAILED) { return; }
  }
  if ((former_action.sa_flags & SA_SIGINFO) != 0) {
    former_action.sa_sigaction(signal, info, context);
  } else if (former_action.sa_handler != SIG_DFL && former_action.sa_handler != SIG_IGN) {
    former_action.sa_handler(signal);
  } else {
    ::signal(signal, SIG_DFL);
    ::raise(signal);  // delivered on return: it ends the process as it would have without us
  }
  errno = saved_errno;
}

bool install_handler() {
  page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  struct sigaction action{};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  return ::sigaction(SIGBUS, &action, &former_action) == 0;
}

MappingEntry* take_entry() {
  for (MappingEntry* entry = first_entry; entry != nullptr; entry = entry->next) {
    if (!entry->taken.exchange(true)) { return entry; }
  }
  auto* entry = new MappingEntry;
  entry->taken = true;
  entry->next = first_entry;
  while (!first_entry.compare_exchange_weak(entry->next, entry)) {}
  return entry;
}

}  // namespace

Mapping* Mapping::make(int descriptor, std::size_t size) {
  [[maybe_unused]] static const bool installed = install_handler();
  MappingEntry* entry = take_entry();
  void* made = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (made == MAP_FAILED) {
    entry->taken = false;
    return nullptr;
  }
  entry->broken = false;
  entry->size = size;
  entry->begin = reinterpret_cast<std::uintptr_t>(made);
  return new Mapping(static_cast<const std::byte*>(made), size, entry);
}

Mapping::~Mapping() {
  entry_->begin = 0;
  ::munmap(const_cast<std::byte*>(data_), size_);
  entry_->taken = false;
}

void Mapping::release(std::size_t offset, std::size_t length) const {
  advise(offset, length, MADV_DONTNEED);
}

void Mapping::prefetch(std::size_t offset, std::size_t length) const {
  advise(offset, length, MADV_WILLNEED);
}

void Mapping::advise(std::size_t offset, std::size_t length, int advice) const {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t begin = offset / page * page;
  ::madvise(const_cast<std::byte*>(data_) + begin, offset + length - begin, advice);
}

}  // namespace kappascope
