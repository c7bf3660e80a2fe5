#include "core/checkpoint/input_file.h"

#include <fcntl.h>
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
  if (S_ISDIR(mode)) { return "a folder"; }
  if (S_ISFIFO(mode)) { return "a FIFO"; }
  if (S_ISSOCK(mode)) { return "a socket"; }
  return "a device";
}

constexpr std::string_view kChangedText =
    "changed while it was read; another program wrote it: open it again when that is done";

void require_inside(const InputFile& file, std::uint64_t offset, std::uint64_t length,
                    std::string_view what) {
  if (offset <= file.size() && length <= file.size() - offset) { return; }
  const std::uint64_t left = offset <= file.size() ? file.size() - offset : 0;
  const auto at = static_cast<std::int64_t>(std::min<std::uint64_t>(offset, INT64_MAX));
  fail(ExitCode::damaged, Place{file.path(), {}, at}, what, " is outside the file; expected ",
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
  file.changed_seconds_ = status.st_mtim.tv_sec;
  file.changed_nanoseconds_ = status.st_mtim.tv_nsec;
  return file;
}

InputFile::InputFile(InputFile&& other) noexcept {
  *this = std::move(other);
}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  std::swap(changed_seconds_, other.changed_seconds_);
  std::swap(changed_nanoseconds_, other.changed_nanoseconds_);
  mapping_ = other.mapping_.exchange(mapping_);
  bytes_read_ = other.bytes_read_.exchange(bytes_read_);
  return *this;
}

InputFile::~InputFile() {
  delete mapping_.load();
  if (descriptor_ >= 0) { ::close(descriptor_); }
}

std::vector<std::byte> InputFile::read(std::uint64_t offset, std::uint64_t length,
                                       std::string_view what) const {
  require_inside(*this, offset, length, what);  // before memory is taken for it
  std::vector<std::byte> bytes(length);
  read(offset, bytes, what);
  return bytes;
}

void InputFile::read(std::uint64_t offset, std::span<std::byte> into, std::string_view what) const {
  require_inside(*this, offset, into.size(), what);
  std::uint64_t done = 0;
  while (done < into.size()) {
    const ssize_t n = ::pread(descriptor_, into.data() + done, into.size() - done,
                              static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) { continue; }
    const Place place{path_, {}, static_cast<std::int64_t>(offset + done)};
    require(n >= 0, ExitCode::io, place, "cannot be read: ", system_message(errno));
    require(n > 0, ExitCode::damaged, place, kChangedText);
    done += static_cast<std::uint64_t>(n);
  }
  bytes_read_ += into.size();
}

std::span<const std::byte> InputFile::map(std::uint64_t offset, std::uint64_t length,
                                          std::string_view what) const {
  require_inside(*this, offset, length, what);
  if (length == 0) { return {}; }
  const Mapping* mapping = mapping_;
  if (mapping == nullptr) {
    const Mapping* made = Mapping::make(descriptor_, size_);
    require(made != nullptr || errno != ENOMEM, ExitCode::memory, Place{path_, {}, -1},
            "no room to map its ", size_,
            " bytes; raise the limit of address space of this process (ulimit -v)");
    require(made != nullptr, ExitCode::io, Place{path_, {}, -1},
            "cannot be mapped: ", system_message(errno));
    if (mapping_.compare_exchange_strong(mapping, made)) {
      mapping = made;
    } else {
      delete made;  // another thread was first; `mapping` is now its one
    }
  }
  return {mapping->data() + offset, length};
}

bool InputFile::written_since() const {
  struct stat now{};
  return ::fstat(descriptor_, &now) != 0 || static_cast<std::uint64_t>(now.st_size) != size_ ||
         now.st_mtim.tv_sec != changed_seconds_ || now.st_mtim.tv_nsec != changed_nanoseconds_;
}

bool InputFile::changed() const {
  const Mapping* mapping = mapping_;
  return (mapping != nullptr && mapping->broken()) || written_since();
}

void InputFile::require_unchanged() const {
  require(!written_since(), ExitCode::damaged, Place{path_, {}, -1}, kChangedText);
  require(!changed(), ExitCode::io, Place{path_, {}, -1},
          "cannot be read: the disk or the network failed");
}

void InputFile::release(std::uint64_t offset, std::uint64_t length) const {
  const Mapping* mapping = mapping_;
  if (mapping == nullptr || offset >= size_) { return; }
  mapping->release(offset, std::min(length, size_ - offset));
}

void InputFile::prefetch(std::uint64_t offset, std::uint64_t length) const {
  if (offset >= size_) { return; }
  ::posix_fadvise(descriptor_, off_t(offset), off_t(std::min(length, size_ - offset)),
                  POSIX_FADV_WILLNEED);
}

std::string read_text_file(const std::filesystem::path& path, std::uint64_t limit) {
  return read_text(InputFile::open(path), limit);
}

std::string read_text(const InputFile& file, std::uint64_t limit) {
  require(file.size() <= limit, ExitCode::damaged, Place{file.path(), {}, -1},
          "the file is too long; expected at most ", limit, " bytes, found ", file.size());
  const std::vector<std::byte> bytes = file.read(0, file.size(), "text");
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace kappascope
