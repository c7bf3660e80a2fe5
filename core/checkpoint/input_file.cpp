#include "core/checkpoint/input_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace kappascope {
namespace {

std::string system_message(int error) {
  return std::generic_category().message(error);
}

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

void require_inside(const InputFile& file, std::uint64_t offset, std::uint64_t length,
                    std::string_view what) {
  if (offset <= file.size() && length <= file.size() - offset) return;
  const std::uint64_t left = offset <= file.size() ? file.size() - offset : 0;
  const auto at = static_cast<std::int64_t>(std::min<std::uint64_t>(offset, INT64_MAX));
  fail(ExitCode::damaged, Place{file.path(), {}, at}, what, " lies outside the file; expected ",
       length, " bytes, found ", left);
}

}  // namespace

InputFile InputFile::open(const std::filesystem::path& path) {
  InputFile file;
  file.path_ = path.string();
  const Place place{file.path_, {}, -1};
  // O_NONBLOCK: a FIFO without a writer would stop us here.
  file.descriptor_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (file.descriptor_ < 0) {
    const int error = errno;
    require(error != ENXIO && error != ENODEV, ExitCode::damaged, place,
            "not a regular file; expected a file, found a device or socket");
    fail(ExitCode::io, place, "cannot be opened: ", system_message(error));
  }
  struct stat status{};
  require(::fstat(file.descriptor_, &status) == 0, ExitCode::io, place,
          "cannot be examined: ", system_message(errno));
  require(S_ISREG(status.st_mode), ExitCode::damaged, place,
          "not a regular file; expected a file, found ", kind_of(status.st_mode));
  file.size_ = static_cast<std::uint64_t>(status.st_size);
  return file;
}

InputFile::InputFile(InputFile&& other) noexcept {
  *this = std::move(other);
}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  mapping_ = other.mapping_.exchange(mapping_);
  bytes_read_ = other.bytes_read_.exchange(bytes_read_);
  return *this;
}

InputFile::~InputFile() {
  if (const std::byte* mapping = mapping_) ::munmap(const_cast<std::byte*>(mapping), size_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::vector<std::byte> InputFile::read(std::uint64_t offset, std::uint64_t length,
                                       std::string_view what) const {
  require_inside(*this, offset, length, what);
  std::vector<std::byte> bytes(length);
  std::uint64_t done = 0;
  while (done < length) {
    const ssize_t n =
        ::pread(descriptor_, bytes.data() + done, length - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    const Place place{path_, {}, static_cast<std::int64_t>(offset + done)};
    require(n >= 0, ExitCode::io, place, "cannot be read: ", system_message(errno));
    require(n > 0, ExitCode::damaged, place, "the file became shorter while it was read");
    done += static_cast<std::uint64_t>(n);
  }
  bytes_read_ += length;
  return bytes;
}

std::span<const std::byte> InputFile::map(std::uint64_t offset, std::uint64_t length,
                                          std::string_view what) const {
  require_inside(*this, offset, length, what);
  if (length == 0) return {};
  const std::byte* mapping = mapping_;
  if (mapping == nullptr) {
    void* made = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor_, 0);
    require(made != MAP_FAILED, errno == ENOMEM ? ExitCode::memory : ExitCode::io,
            Place{path_, {}, -1}, "cannot be mapped: ", system_message(errno));
    if (mapping_.compare_exchange_strong(mapping, static_cast<std::byte*>(made))) {
      mapping = static_cast<std::byte*>(made);
    } else {
      ::munmap(made, size_);  // another thread was first; `mapping` is now its one
    }
  }
  return {mapping + offset, length};
}

void InputFile::release(std::uint64_t offset, std::uint64_t length) const {
  const std::byte* mapping = mapping_;
  if (mapping == nullptr || offset >= size_) return;
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t begin = offset / page * page;
  const std::uint64_t end = offset + std::min(length, size_ - offset);
  ::madvise(const_cast<std::byte*>(mapping) + begin, end - begin, MADV_DONTNEED);
}

std::string read_text_file(const std::filesystem::path& path, std::uint64_t limit) {
  const InputFile file = InputFile::open(path);
  require(file.size() <= limit, ExitCode::damaged, Place{file.path(), {}, -1},
          "the file is too long; expected at most ", limit, " bytes, found ", file.size());
  const std::vector<std::byte> bytes = file.read(0, file.size(), "text");
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace kappascope
