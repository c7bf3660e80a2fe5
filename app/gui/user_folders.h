// Folders of the user that the window writes to, and how windows that share them keep out of each
// other's way: on one machine, in containers, on other machines with the same home folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace kappascope::gui {

// Found and tried once, when the window starts.
struct UserFolders {
  std::filesystem::path settings;  // settings.json; empty: settings are not kept
  std::filesystem::path sessions;  // folder of the last session; empty: sessions are not kept
  std::filesystem::path scratch;   // folder for the traces of runs
  std::string warning;             // one sentence; empty: all is as usual
};

// $XDG_CONFIG_HOME/kappascope, else ~/.config/kappascope, and likewise …_STATE_… and …_CACHE_….
// Where there is no home folder or it cannot be written, settings are not kept and traces are kept
// in a folder of this user alone below TMPDIR. Errors: io, when neither can be written.
UserFolders user_folders();

// A folder of this process, PARENT/KIND-HOST-BOOT-XXXXXX, locked while this lives and then removed
// with all that is in it. An empty `parent`: none is made.
class HeldFolder {
 public:
  HeldFolder(const std::filesystem::path& parent, const std::string& kind);  // Errors: io
  ~HeldFolder();
  HeldFolder(const HeldFolder&) = delete;
  HeldFolder& operator=(const HeldFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // Folders of the same kind whose process has ended: nobody holds their lock, on this running
  // system, or this machine was started anew since. Those of other machines stay. Found before the
  // own one was made; the caller removes them.
  const std::vector<std::filesystem::path>& left_behind() const { return left_behind_; }

 private:
  std::filesystem::path path_;
  std::vector<std::filesystem::path> left_behind_;
  int descriptor_ = -1;
};

// Waits for a lock of the file `path`, which is made when it is missing, and holds it. Where there
// are no locks: holds nothing.
class FileLock {
 public:
  explicit FileLock(const std::filesystem::path& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace kappascope::gui
