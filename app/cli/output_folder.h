// Where a run writes: files appear in the output folder whole and all together, or not at all.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "app/cli/interrupts.h"

namespace kappascope {

// An output folder, locked against other processes, with a hidden folder inside it where files are
// made before they are renamed into place. What was not published is removed in the end, and with
// it the folders that were made for it, on errors and interrupts too.
inline constexpr const char* kFiguresFolder = "figures";  // in an output folder

class OutputFolder {
 public:
  // Makes `folder` and its parents where missing. Another process writes there: locked. A
  // temporary one (`folder` empty) is where the system keeps such files and publishes nothing.
  OutputFolder(const std::filesystem::path& folder, bool force, Interrupts& interrupts);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  bool temporary() const { return temporary_; }
  const std::filesystem::path& path() const { return folder_; }

  // The name under which a file is made; it must not exist yet.
  std::filesystem::path staged(std::string_view name) const { return staging_ / name; }

  // Refuses (io), before anything is published, what is in a file's place: a file of the same
  // name that is no output of ours, unless `force`; a folder always. `subfolder` may be empty.
  void check_places(const std::filesystem::path& subfolder,
                    const std::vector<std::string>& names) const;

  // That what is to be published does not replace `trace`, which the run reads: usage.
  void check_keeps(const std::filesystem::path& trace) const;

  // Renames staged files into `subfolder`, made if missing; model.npz into the folder itself. A
  // name may have a folder in front ("figures/loss.svg"). What else is staged is cleared. On the
  // disk when it returns, but for what has a folder in front. Once the user asked to stop, nothing
  // (interrupted), unless `though_stopped`.
  void publish(const std::filesystem::path& subfolder, const std::vector<std::string>& names,
               bool though_stopped = false);

  // Writes a file into the folder itself, in place of the one of that name, also when the user
  // asked to stop: it says how far a run came.
  void put(const std::string& name, const std::string& text);

  // Removes what is staged, all but model.npz: it fits every text of a run.
  void clear();

 private:
  void make_folders();
  void lock();
  void make_staging();
  void sync(const std::vector<std::string>& names) const;

  std::filesystem::path folder_, staging_;
  bool temporary_, force_;
  Interrupts& interrupts_;
  std::vector<std::filesystem::path> made_;  // folders that we made, deepest first
  int descriptor_ = -1;                      // of the folder; holds the lock
  bool locked_ = false;                      // false: the file system knows no locks
};

inline constexpr const char* kTokensFile = "tokens.csv";
inline constexpr const char* kRoutingFile = "routing.csv";
inline constexpr const char* kSummaryFile = "summary.json";
inline constexpr const char* kTokensHeader = "document,token,token_id,";
inline constexpr const char* kRoutingHeader = "document,layer,pass,token,slot,token_id,expert,";
inline constexpr const char* kScoreCsv = "score.csv";
inline constexpr const char* kScoreHeader = "task,example,line,gold,";  // then columns of options
inline constexpr const char* kStatsHeader = "layer,pass,expert,assigned,kept,first_choice,load,";
inline constexpr const char* kIndexFile = "index.csv";
inline constexpr const char* kBatchFile = "batch.json";
inline constexpr const char* kIndexHeader = "folder,source,tokens,hash,status,error";
inline constexpr const char* kBatchSchema = "kappascope.batch/1";

}  // namespace kappascope
