// Loaded in front of the C++ library (LD_PRELOAD): the n-th allocation that the program itself asks
// for, or its engine, fails as when memory has run out; what its libraries allocate does not count,
// nor what happens before main, where nobody could answer.
// In the environment:
//   KAPPASCOPE_FAIL_AT     n, from 1; 0: none
//   KAPPASCOPE_FAIL_IN     the file name of the engine
//   KAPPASCOPE_FAIL_COUNT  a file of 8 bytes, in which the number of allocations so far is kept
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>

namespace {

struct Setting {
  long at = 0;
  const char* where = "";
  std::atomic<long>* count = nullptr;
};

Setting read_setting() {
  Setting setting;
  const char* at = std::getenv("KAPPASCOPE_FAIL_AT");
  const char* where = std::getenv("KAPPASCOPE_FAIL_IN");
  const char* path = std::getenv("KAPPASCOPE_FAIL_COUNT");
  if (at == nullptr || where == nullptr || path == nullptr) { return setting; }
  const int file = ::open(path, O_RDWR | O_CLOEXEC);
  void* bytes = ::mmap(nullptr, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (bytes == MAP_FAILED) { std::abort(); }
  setting.count = static_cast<std::atomic<long>*>(bytes);
  setting.at = std::atol(at);
  setting.where = where;
  return setting;
}

const Setting& setting() {
  static const Setting read = read_setting();
  return read;
}

// Whether the code at that address is the program's own or in a library that counts. Asked at every
// allocation, so what a library is called is compared once.
bool counts(void* address) {
  static std::atomic<const void*> counted{nullptr}, passed[8];
  dl_find_object found;
  if (::_dl_find_object(address, &found) != 0) { return false; }
  const link_map* library = found.dlfo_link_map;
  if (library->l_name[0] == '\0' || library == counted) { return true; }
  for (auto& other : passed) {
    if (other == library) { return false; }
  }
  const char* slash = std::strrchr(library->l_name, '/');
  const bool here =
      std::strcmp(slash == nullptr ? library->l_name : slash + 1, setting().where) == 0;
  if (here) {
    counted = library;
  } else {
    passed[std::hash<const void*>{}(library) / 64 % 8] = library;
  }
  return here;
}

std::atomic<bool> in_main = false;
int (*real_main)(int, char**, char**) = nullptr;

int noted_main(int count, char** words, char** variables) {
  in_main = true;
  return real_main(count, words, variables);
}

bool fails(void* caller) {
  if (!in_main) { return false; }
  const Setting& now = setting();
  return now.count != nullptr && counts(caller) && ++*now.count == now.at;
}

void* allocate(std::size_t size, std::size_t alignment, void* caller) {
  if (fails(caller)) { return nullptr; }
  size = size == 0 ? 1 : size;
  void* memory = nullptr;
  if (alignment == 0) { return std::malloc(size); }
  return ::posix_memalign(&memory, alignment, size) == 0 ? memory : nullptr;
}

void* or_throw(void* memory) {
  if (memory == nullptr) { throw std::bad_alloc(); }
  return memory;
}

}  // namespace

// The C library's start of every program, which calls main.
extern "C" int __libc_start_main(int (*main)(int, char**, char**), int count, char** words,
                                 void (*first)(), void (*last)(), void (*unload)(), void* stack) {
  real_main = main;
  auto* const next =
      reinterpret_cast<decltype(&__libc_start_main)>(::dlsym(RTLD_NEXT, "__libc_start_main"));
  return next(&noted_main, count, words, first, last, unload, stack);
}

#define CALLER __builtin_return_address(0)

void* operator new(std::size_t size) {
  return or_throw(allocate(size, 0, CALLER));
}
void* operator new[](std::size_t size) {
  return or_throw(allocate(size, 0, CALLER));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, 0, CALLER);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, 0, CALLER);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return or_throw(allocate(size, static_cast<std::size_t>(alignment), CALLER));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return or_throw(allocate(size, static_cast<std::size_t>(alignment), CALLER));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
