#include "app/cli/output_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include "core/error.h"
#include "core/stats/summary.h"
#include "core/trace/npz.h"
#include "core/trace/output_file.h"
#include "core/trace/stats_file.h"
#include "core/trace/trace.h"

namespace kappascope {
namespace {

bool is_figure(const std::string& name) {
  return name.starts_with(join_words(kFiguresFolder, "/"));
}

namespace fs = std::filesystem;

constexpr const char* kStagingName = ".kappascope-unfinished";
constexpr const char* kHolderName = "holder";  // in there: who writes

[[noreturn]] void fail_io(const fs::path& path, std::string_view what, int error) {
  fail(ExitCode::io, {.file = path.native()}, what, ": ", std::generic_category().message(error));
}

// Says in the staging folder who holds the lock, for whoever comes second.
void write_holder(const fs::path& staging) {
  char host[256] = {};
  if (gethostname(host, sizeof host - 1) != 0) { host[0] = '\0'; }
  std::ofstream(staging / kHolderName) << "process " << getpid() << " on " << host << "\n";
}

// " (process 1234 on HOST)"; "" where the holder has not said it yet.
std::string holder_of(const fs::path& staging) {
  std::ifstream in(staging / kHolderName);
  std::string line(300, '\0');
  in.read(line.data(), std::streamsize(line.size()));
  line.resize(std::size_t(in.gcount()));
  line.resize(std::min(line.find('\n'), line.size()));
  return line.empty() ? "" : " (" + line + ")";
}

// Whether a file holds this mark of ours, anywhere in it.
bool holds(const fs::path& path, std::string_view mark) {
  constexpr std::size_t kPart = 1 << 16;
  std::ifstream in(path, std::ios::binary);
  std::string text, part(kPart, '\0');
  while (in) {
    in.read(part.data(), std::streamsize(kPart));
    text.append(part, 0, std::size_t(in.gcount()));
    if (text.find(mark) != std::string::npos) { return true; }
    text.erase(0, text.size() - std::min(text.size(), mark.size()));  // it may be cut in two
  }
  return false;
}

bool archive_has_schema(const fs::path& path, std::string_view schema) {
  try {
    const NpzReader reader(path);
    if (!reader.find("kappascope_meta")) { return false; }
    const std::vector<std::string> meta = reader.text("kappascope_meta");
    return meta.size() == 1 && meta[0].find(schema) != std::string::npos;
  } catch (const Error&) {
    return false;  // whatever it is, it is not ours
  }
}

std::string first_line(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string line;
  std::getline(in, line);
  return line;
}

// `staged` is what would take its place, made or not yet.
bool is_ours(const fs::path& path, const fs::path& staged) {
  std::error_code unreadable;
  if (!fs::is_regular_file(path, unreadable)) { return false; }
  const std::string name = path.filename().string();
  if (name == kTraceFile) { return archive_has_schema(path, "kappascope.trace/"); }
  if (name == kModelFile) { return archive_has_schema(path, "kappascope.model/"); }
  if (name == kStatsFile) { return archive_has_schema(path, "kappascope.stats/"); }
  if (name == kTokensFile) { return first_line(path).starts_with(kTokensHeader); }
  if (name == kRoutingFile) { return first_line(path).starts_with(kRoutingHeader); }
  if (name == kIndexFile) { return first_line(path).starts_with(kIndexHeader); }
  if (name == kScoreCsv) { return first_line(path).starts_with(kScoreHeader); }
  if (name == kStatsCsv) { return first_line(path).starts_with(kStatsHeader); }
  const std::string end = path.extension().string();
  // The numbers of a figure have the columns that we are about to write.
  if (end == ".csv") { return first_line(path) == first_line(staged); }
  // Whatever else we write says so: keys, ids, chunks and comments of our own.
  return holds(path, end == ".json"   ? "\"schema\": \"kappascope."
                     : end == ".svg"  ? "=\"kappascope-"
                     : end == ".png"  ? "kaPskappascope"
                     : end == ".txt"  ? "\nDrawn by kappascope.\n"
                     : end == ".html" ? "content=\"kappascope "
                                      : "% kappascope\n");
}

}  // namespace

OutputFolder::OutputFolder(const fs::path& folder, bool force, Interrupts& interrupts)
    : folder_(folder), temporary_(folder.empty()), force_(force), interrupts_(interrupts) {
  try {
    if (temporary_) {
      std::string pattern = (temporary_folder() / "kappascope-XXXXXX").string();
      if (!mkdtemp(pattern.data())) { fail_io(pattern, "cannot make a temporary folder", errno); }
      folder_ = staging_ = pattern;
      interrupts_.protect(staging_, {});
      return;
    }
    make_folders();
    lock();
    make_staging();
  } catch (...) {
    remove_unfinished(staging_, made_);
    if (descriptor_ >= 0) { close(descriptor_); }
    throw;
  }
}

OutputFolder::~OutputFolder() {
  {
    const auto held = interrupts_.hold();
    remove_unfinished(staging_, made_);
  }
  interrupts_.protect({}, {});
  if (descriptor_ >= 0) { close(descriptor_); }
}

void OutputFolder::make_folders() {
  std::vector<fs::path> missing;  // deepest first
  struct stat status{};
  for (fs::path at = folder_; !at.empty() && lstat(at.c_str(), &status) != 0 && errno == ENOENT;
       at = at.parent_path()) {
    missing.push_back(at);
  }
  for (auto at = missing.rbegin(); at != missing.rend(); ++at) {
    if (mkdir(at->c_str(), 0777) == 0) {
      made_.insert(made_.begin(), *at);
    } else if (errno != EEXIST) {
      fail_io(*at, "cannot make this folder", errno);
    }
  }
  descriptor_ = open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) { fail_io(folder_, "cannot open the output folder", errno); }
}

void OutputFolder::lock() {
  locked_ = flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
  if (locked_ || errno != EWOULDBLOCK) { return; }
  fail(ExitCode::locked, {.file = folder_.native()}, "another kappascope",
       holder_of(folder_ / kStagingName), " is writing here; wait for it or choose another folder");
}

// A network file system may lock no folders: then the hidden folder itself is the lock. Where there
// are locks and we hold ours, one that is there was left by a process that was killed.
void OutputFolder::make_staging() {
  const fs::path staging = folder_ / kStagingName;
  if (locked_) { remove_unfinished(staging, {}); }
  if (mkdir(staging.c_str(), 0777) != 0) {
    const int error = errno;
    if (error != EEXIST) { fail_io(staging, "cannot make this folder", error); }
    fail(ExitCode::locked, {.file = staging.native()}, "another kappascope", holder_of(staging),
         " is writing here, or one was killed: then remove this folder");
  }
  staging_ = staging;
  interrupts_.protect(staging_, made_);
  write_holder(staging_);
}

void OutputFolder::check_keeps(const fs::path& trace) const {
  std::error_code absent;
  require(temporary_ || !fs::equivalent(folder_ / kTraceFile, trace, absent), ExitCode::usage,
          {.file = trace.native()},
          "its outputs are taken, and it would be replaced; give another folder with -o");
}

void OutputFolder::check_places(const fs::path& subfolder,
                                const std::vector<std::string>& names) const {
  if (temporary_) { return; }
  Faults faults(folder_.string());
  for (const std::string& name : names) {
    const fs::path place = (name == kModelFile ? folder_ : folder_ / subfolder) / name;
    struct stat status{};
    if (lstat(place.c_str(), &status) != 0) { continue; }
    if (S_ISDIR(status.st_mode)) {
      faults.add(ExitCode::io, {}, (subfolder / name).string(), " is a folder");
    } else if (!force_ && !is_ours(place, staged(name))) {
      faults.add(ExitCode::io, {}, (subfolder / name).string(),
                 " is there and not written by kappascope; --force replaces it");
    }
  }
  faults.throw_if_any();
}

void OutputFolder::publish(const fs::path& subfolder, const std::vector<std::string>& names,
                           bool though_stopped) {
  if (temporary_) { return clear(); }
  const fs::path target = subfolder.empty() ? folder_ : folder_ / subfolder;
  sync(names);
  {
    const auto held = interrupts_.hold();
    if (!though_stopped) { interrupts_.check(); }
    std::vector<fs::path> made;  // deepest last
    for (const std::string& name : names) {
      const fs::path place = (name == kModelFile ? folder_ : target) / name;
      for (const fs::path& parent : {target, place.parent_path()}) {
        if (mkdir(parent.c_str(), 0777) == 0) {
          made.push_back(parent);
        } else if (errno != EEXIST) {
          fail_io(parent, "cannot make this folder", errno);
        }
      }
      if (rename(staged(name).c_str(), place.c_str()) == 0) { continue; }
      const int error = errno;
      for (auto folder = made.rbegin(); folder != made.rend(); ++folder) { rmdir(folder->c_str()); }
      fail_io(place, "cannot put the finished file in its place", error);
    }
  }
  sync_path(target);
  for (const std::string& name : names) {
    const fs::path parent = fs::path(name).parent_path();
    if (!parent.empty() && !is_figure(name)) { sync_path(target / parent); }
  }
  if (!subfolder.empty()) { sync_path(folder_); }
  clear();
}

// A file that has its name has its bytes, whatever happens to the machine. Figures beside a result
// are not waited for: they can be made again from it.
void OutputFolder::sync(const std::vector<std::string>& names) const {
  for (const std::string& name : names) {
    if (is_figure(name)) { continue; }
    sync_path(staged(name));
  }
}

void OutputFolder::put(const std::string& name, const std::string& text) {
  if (temporary_) { return; }
  const auto held = interrupts_.hold();
  const fs::path unfinished = staged(name);
  std::error_code ignored;
  fs::remove(unfinished, ignored);
  write_file(unfinished, text, /*sync=*/true);
  if (rename(unfinished.c_str(), (folder_ / name).c_str()) != 0) {
    fail_io(folder_ / name, "cannot put the finished file in its place", errno);
  }
  sync_path(folder_);
}

void OutputFolder::clear() {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(staging_, error)) {
    const fs::path name = entry.path().filename();
    if (name != kModelFile && name != kHolderName) { fs::remove_all(entry.path(), error); }
  }
}

}  // namespace kappascope
