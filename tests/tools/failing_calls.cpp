// Loaded in front of the C library (LD_PRELOAD): the n-th of the calls that change files below a
// folder fails, as on a full, broken or read-only disk. In the environment:
//   KAPPASCOPE_FAIL_BELOW  the folder, without links
//   KAPPASCOPE_FAIL_AT     n, from 1; 0: none
//   KAPPASCOPE_FAIL_AS     errno, a number
//   KAPPASCOPE_FAIL_COUNT  a file in which the number of calls so far is kept
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_below(const char* path) {
  const std::string folder = variable("KAPPASCOPE_FAIL_BELOW");
  return !folder.empty() && std::strncmp(path, folder.c_str(), folder.size()) == 0;
}

bool is_below(int descriptor) {
  char path[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const ssize_t length = ::readlink(link.c_str(), path, sizeof path - 1);
  path[length > 0 ? length : 0] = '\0';
  return is_below(path);
}

// Of a call that concerns the folder: whether it fails. The program ends without destructors, so
// the number is written each time.
bool fails() {
  static std::atomic<long> calls = 0;
  const long call = ++calls;
  if (std::FILE* file = std::fopen(variable("KAPPASCOPE_FAIL_COUNT").c_str(), "w")) {
    std::fprintf(file, "%ld", call);
    std::fclose(file);
  }
  if (std::to_string(call) != variable("KAPPASCOPE_FAIL_AT")) { return false; }
  errno = std::atoi(variable("KAPPASCOPE_FAIL_AS").c_str());
  return true;
}

// The function of that name that would have been called without us.
template <typename Function>
Function* real(Function*, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

ssize_t write(int descriptor, const void* data, std::size_t size) {
  static auto* const next = real(&write, "write");
  return is_below(descriptor) && fails() ? -1 : next(descriptor, data, size);
}
ssize_t pwrite(int descriptor, const void* data, std::size_t size, off_t offset) {
  static auto* const next = real(&pwrite, "pwrite");
  return is_below(descriptor) && fails() ? -1 : next(descriptor, data, size, offset);
}
ssize_t pwrite64(int descriptor, const void* data, std::size_t size, off64_t offset) {
  static auto* const next = real(&pwrite64, "pwrite64");
  return is_below(descriptor) && fails() ? -1 : next(descriptor, data, size, offset);
}
int fflush(std::FILE* file) {
  static auto* const next = real(&fflush, "fflush");
  return file != nullptr && is_below(::fileno(file)) && fails() ? EOF : next(file);
}
int fsync(int descriptor) {
  static auto* const next = real(&fsync, "fsync");
  return is_below(descriptor) && fails() ? -1 : next(descriptor);
}
int rename(const char* from, const char* to) noexcept {
  static auto* const next = real(&rename, "rename");
  return is_below(to) && fails() ? -1 : next(from, to);
}
int mkdir(const char* path, mode_t mode) noexcept {
  static auto* const next = real(&mkdir, "mkdir");
  return is_below(path) && fails() ? -1 : next(path, mode);
}
int fallocate(int descriptor, int mode, off_t offset, off_t length) {
  static auto* const next = real(&fallocate, "fallocate");
  return is_below(descriptor) && fails() ? -1 : next(descriptor, mode, offset, length);
}
int ftruncate(int descriptor, off_t length) noexcept {
  static auto* const next = real(&ftruncate, "ftruncate");
  return is_below(descriptor) && fails() ? -1 : next(descriptor, length);
}

}  // extern "C"
