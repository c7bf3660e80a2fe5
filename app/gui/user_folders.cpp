#include "app/gui/user_folders.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include "core/error.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kBootDigits = 8, kRandomLetters = 6;

std::string why(int error) {
  return std::generic_category().message(error);
}

// An XDG base folder: the variable when it is an absolute path, else `standard` under the home
// folder; empty without either.
fs::path xdg_folder(const char* variable, const char* standard) {
  const char* given = std::getenv(variable);
  if (given && given[0] == '/') { return fs::path(given) / "kappascope"; }
  const char* home = std::getenv("HOME");
  if (home && home[0] == '/') { return fs::path(home) / standard / "kappascope"; }
  return {};
}

// Made where it is missing; "": it can be written, else why not.
std::string unwritable(const fs::path& folder) {
  if (folder.empty()) { return "there is no home folder"; }
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error && access(folder.c_str(), W_OK | X_OK) != 0) {
    error.assign(errno, std::generic_category());
  }
  return error ? printable(folder.native()) + ": " + error.message() : "";
}

// Ours alone: nobody else may have made it, or may put anything into it.
bool make_private(const fs::path& folder) {
  if (mkdir(folder.c_str(), 0700) == 0) { return true; }
  struct stat found{};
  return lstat(folder.c_str(), &found) == 0 && S_ISDIR(found.st_mode) &&
         found.st_uid == geteuid() && (found.st_mode & 077) == 0 &&
         access(folder.c_str(), W_OK | X_OK) == 0;
}

fs::path temporary_folder() {
  const char* given = std::getenv("TMPDIR");
  const fs::path parent = given && given[0] ? given : "/tmp";
  const std::string name = "kappascope-" + std::to_string(geteuid());
  if (make_private(parent / name)) { return parent / name; }
  std::string pattern = (parent / (name + "-XXXXXX")).string();
  require(mkdtemp(pattern.data()) != nullptr, ExitCode::io, {.file = parent.native()},
          "no folder for the traces of runs can be made here (", why(errno),
          "); set TMPDIR to a folder that can be written");
  return pattern;
}

// Letters that a file name and our own separators leave alone.
std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  std::string host(name);
  for (char& c : host) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain && c != '.' && c != '-') { c = '_'; }
  }
  return host.empty() ? "host" : host.substr(0, 64);
}

// The same in all containers of a running system, another one after it was started anew.
std::string boot_name() {
  std::string line;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), line);
  line.resize(kBootDigits, '0');
  return line;
}

int locked_folder(const fs::path& folder, bool& locked) {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  locked = descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) == 0;
  return descriptor;
}

bool is_left_behind(const fs::path& folder, const std::string& kind) {
  const std::string name = folder.filename().string(), start = kind + "-";
  constexpr std::size_t kTail = 1 + kBootDigits + 1 + kRandomLetters;
  if (!name.starts_with(start) || name.size() <= start.size() + kTail) { return false; }
  const std::size_t host_end = name.size() - kTail;
  const std::string host = name.substr(start.size(), host_end - start.size());
  const std::string boot = name.substr(host_end + 1, kBootDigits);
  if (boot != boot_name() && host != host_name()) { return false; }
  bool locked = false;
  const int descriptor = locked_folder(folder, locked);
  if (descriptor >= 0) { close(descriptor); }
  return locked;
}

}  // namespace

UserFolders user_folders() {
  UserFolders folders;
  const fs::path config = xdg_folder("XDG_CONFIG_HOME", ".config");
  const fs::path state = xdg_folder("XDG_STATE_HOME", ".local/state");
  folders.scratch = xdg_folder("XDG_CACHE_HOME", ".cache");
  const std::string no_config = unwritable(config), no_state = unwritable(state);
  if (no_config.empty()) { folders.settings = config / "settings.json"; }
  if (no_state.empty()) { folders.sessions = state; }
  const std::string no_cache = unwritable(folders.scratch);
  if (!no_cache.empty()) { folders.scratch = temporary_folder(); }
  const std::string& reason = !no_config.empty()  ? no_config
                              : !no_state.empty() ? no_state
                                                  : no_cache;
  if (reason.empty()) { return folders; }
  std::string lost;
  if (!no_config.empty()) { lost = "settings"; }
  if (!no_state.empty()) { lost += lost.empty() ? "sessions" : " and sessions"; }
  folders.warning = reason + (lost.empty() ? "" : "; " + lost + " are not kept");
  if (!no_cache.empty()) {
    folders.warning += "; traces of runs are in " + printable(folders.scratch.native());
  }
  return folders;
}

HeldFolder::HeldFolder(const fs::path& parent, const std::string& kind) {
  if (parent.empty()) { return; }
  // A folder that is not yet locked must not be taken for one left behind.
  const FileLock turn(parent / (kind + ".lock"));
  std::error_code error;
  for (fs::directory_iterator at(parent, error), end; !error && at != end; at.increment(error)) {
    if (is_left_behind(at->path(), kind)) { left_behind_.push_back(at->path()); }
  }
  std::string pattern =
      (parent / join_words(kind, "-", host_name(), "-", boot_name(), "-XXXXXX")).string();
  require(mkdtemp(pattern.data()) != nullptr, ExitCode::io, {.file = parent.native()},
          "cannot make a folder here: ", why(errno));
  path_ = pattern;
  bool locked = false;
  descriptor_ = locked_folder(path_, locked);
}

HeldFolder::~HeldFolder() {
  std::error_code ignored;
  if (!path_.empty()) { fs::remove_all(path_, ignored); }
  if (descriptor_ >= 0) { close(descriptor_); }
}

FileLock::FileLock(const fs::path& path)
    : descriptor_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) {
  if (descriptor_ < 0) { return; }
  while (flock(descriptor_, LOCK_EX) != 0 && errno == EINTR) {}
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) { close(descriptor_); }
}

}  // namespace kappascope::gui
