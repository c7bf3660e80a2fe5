#include "core/trace/output_file.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "core/error.h"

namespace kappascope {
namespace {

bool is_full(int code) {
  return code == ENOSPC || code == EDQUOT || code == EFBIG;
}

// The words for a failed system call; a full disk says how much there is. What a quota or a limit
// of the process leaves is not what the disk has.
std::string reason(const std::string& path, int code, std::uint64_t needed) {
  if (code == EDQUOT) {
    return join_words("the disk quota of this user or group is used up; expected room for ", needed,
                      " bytes");
  }
  if (code == EFBIG) {
    return join_words("the file would be longer than the limit for one file (see `ulimit -f`) or ",
                      "than this file system takes; expected room for ", needed, " bytes");
  }
  std::string text = std::strerror(code);
  struct statvfs disk = {};
  if (code != ENOSPC || ::statvfs(path.c_str(), &disk) != 0) { return text; }
  const std::uint64_t found = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  return join_words(text, "; expected room for ", needed, " bytes, found ", found, " bytes");
}

}  // namespace

std::filesystem::path temporary_folder() {
  std::error_code error;
  std::filesystem::path folder = std::filesystem::temp_directory_path(error);
  if (!error) { return folder; }
  for (const char* variable : {"TMPDIR", "TMP", "TEMP", "TEMPDIR"}) {
    const char* value = std::getenv(variable);
    if (value == nullptr) { continue; }
    fail(ExitCode::io, Place{value}, variable, " names no folder: ", error.message(), "; set ",
         variable, " to a folder that exists, or unset it");
  }
  fail(ExitCode::io, Place{"/tmp"}, "no folder for temporary files: ", error.message());
}

OutputFile::OutputFile(const std::filesystem::path& path) : path_(path.string()) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    fail(ExitCode::io, Place{path_}, "cannot create: ", reason(path_, errno, 0));
  }
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) { return; }
  ::close(descriptor_);
  ::unlink(path_.c_str());
}

int reserve_room(int descriptor, std::uint64_t size) {
  if (size == 0) { return 0; }
  int status = 0;
  // fallocate, not posix_fallocate: where the file system cannot, the latter writes every block.
  do {
    status = ::fallocate(descriptor, 0, 0, static_cast<off_t>(size));
  } while (status != 0 && errno == EINTR);
  return status != 0 && is_full(errno) ? errno : 0;
}

void OutputFile::reserve(std::uint64_t size) {
  const int code = reserve_room(descriptor_, size);
  if (code != 0) { fail(ExitCode::io, Place{path_}, "cannot write: ", reason(path_, code, size)); }
}

void OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t written =
        ::pwrite(descriptor_, data.data(), data.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) { continue; }
    if (written <= 0) {
      const int code = written < 0 ? errno : ENOSPC;
      fail(ExitCode::io, Place{path_, {}, static_cast<std::int64_t>(offset)},
           "cannot write: ", reason(path_, code, data.size()));
    }
    offset += static_cast<std::uint64_t>(written);
    data = data.subspan(static_cast<std::size_t>(written));
  }
}

void OutputFile::sync() {
  if (::fsync(descriptor_) != 0) {
    fail(ExitCode::io, Place{path_}, "cannot write: ", reason(path_, errno, 0));
  }
}

void OutputFile::finish() {
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (::close(descriptor) == 0) { return; }
  const int code = errno;
  ::unlink(path_.c_str());
  fail(ExitCode::io, Place{path_}, "cannot write: ", reason(path_, code, 0));
}

void write_file(const std::filesystem::path& path, std::string_view bytes, bool sync) {
  OutputFile file(path);
  file.write_at(0, std::as_bytes(std::span(bytes)));
  if (sync) { file.sync(); }
  file.finish();
}

void sync_path(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  require(descriptor >= 0, ExitCode::io, Place{path.native()},
          "cannot be opened: ", std::strerror(errno));
  const bool done = ::fsync(descriptor) == 0 || errno == EINVAL;
  const int code = errno;
  ::close(descriptor);
  require(done, ExitCode::io, Place{path.native()},
          "cannot write: ", done ? "" : reason(path.native(), code, 0));
}

}  // namespace kappascope
