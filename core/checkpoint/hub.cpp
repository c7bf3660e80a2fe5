#include "core/checkpoint/hub.h"

#include <algorithm>
#include <cstdlib>
#include <system_error>

#include "core/checkpoint/folder.h"
#include "core/checkpoint/input_file.h"
#include "core/checkpoint/other_format.h"
#include "core/error.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRepositoryPrefix = "models--";
constexpr std::uint64_t kMaxRefBytes = 4096;

// A path of an environment variable; "~" is the home folder, as huggingface_hub reads it.
fs::path from_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') { return {}; }
  const std::string_view text = value;
  const char* home = std::getenv("HOME");
  if (home != nullptr && (text == "~" || text.starts_with("~/"))) {
    return fs::path(home) / text.substr(std::min<std::size_t>(text.size(), 2));
  }
  return value;
}

// "models--org--name" → "org/name"; "" when the folder is of no model.
std::string repository_of(std::string_view folder) {
  if (!folder.starts_with(kRepositoryPrefix)) { return ""; }
  std::string name(folder.substr(kRepositoryPrefix.size()));
  if (const auto at = name.find("--"); at != name.npos) { name.replace(at, 2, "/"); }
  return name;
}

std::string folder_of(std::string repository) {
  repository.replace(repository.find('/'), 1, "--");
  return std::string(kRepositoryPrefix) + repository;
}

bool is_plain(std::string_view part) {
  constexpr std::string_view kOthers = "-_.";
  return !part.empty() && part != "." && part != ".." &&
         std::all_of(part.begin(), part.end(), [&](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  kOthers.find(c) != kOthers.npos;
         });
}

// A revision may have slashes: "refs/pr/1".
bool is_revision(std::string_view text) {
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('/', begin), text.size());
    if (!is_plain(text.substr(begin, end - begin))) { return false; }
    begin = end + 1;
  }
  return true;
}

// The snapshot that a ref names; empty: there is no such ref.
fs::path referred(const fs::path& repository, const std::string& ref) {
  const fs::path file = repository / "refs" / ref;
  if (!is_there(file)) { return {}; }
  std::string revision = read_text_file(file, kMaxRefBytes);
  while (!revision.empty() && (revision.back() == '\n' || revision.back() == '\r')) {
    revision.pop_back();
  }
  require(is_plain(revision), ExitCode::damaged, Place{file.native()},
          "expected the name of a snapshot, found '", revision.substr(0, 80), "'");
  return repository / "snapshots" / revision;
}

fs::path find_snapshot(const fs::path& repository, const HubName& name) {
  const std::string cure = "; fetch it: " + fetch_command(name);
  const std::string place = name.repository + (name.revision.empty() ? "" : "@" + name.revision);
  const std::string ref = name.revision.empty() ? "main" : name.revision;
  const fs::path main = referred(repository, ref);
  if (!main.empty() && is_there(main)) { return main; }
  require(main.empty(), ExitCode::io, Place{place}, "the snapshot ", main.filename().string(),
          " of ", ref, " is not in the hub cache", cure);
  if (!name.revision.empty() && is_there(repository / "snapshots" / name.revision)) {
    return repository / "snapshots" / name.revision;
  }
  const std::vector<fs::path> all = folders_in(repository / "snapshots");
  if (name.revision.empty() && all.size() == 1) { return all.front(); }
  std::string revisions;
  for (const fs::path& folder : all) {
    revisions += (revisions.empty() ? "" : ", ") + folder.filename().string();
  }
  require(all.empty() || !name.revision.empty(), ExitCode::io, Place{place},
          "several snapshots in the hub cache and none is main; name one of them: ",
          name.repository, "@REVISION, one of ", revisions);
  fail(ExitCode::io, Place{place}, "not in the hub cache ", repository.parent_path().string(),
       revisions.empty() ? "" : " (there: " + revisions + ")", cure);
}

}  // namespace

std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> found;
  if (!is_there(folder)) { return found; }
  std::error_code error;
  for (fs::directory_iterator at(folder, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    std::error_code gone;
    if (at->is_directory(gone)) { found.push_back(at->path()); }
  }
  require(!error, ExitCode::io, Place{folder.native()},
          "the folder cannot be read: ", error.message());
  std::sort(found.begin(), found.end());
  return found;
}

fs::path hub_cache() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (fs::path given = from_environment(name); !given.empty()) { return given; }
  }
  if (const fs::path home = from_environment("HF_HOME"); !home.empty()) { return home / "hub"; }
  if (const fs::path cache = from_environment("XDG_CACHE_HOME"); !cache.empty()) {
    return cache / "huggingface" / "hub";
  }
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "" : home) / ".cache" / "huggingface" / "hub";
}

std::optional<HubSnapshot> hub_snapshot(const fs::path& folder) {
  std::error_code error;
  fs::path at = fs::canonical(folder, error);
  if (error) { return std::nullopt; }
  for (; at.has_parent_path() && at != at.parent_path(); at = at.parent_path()) {
    const fs::path repository = at.parent_path().parent_path();
    if (at.parent_path().filename() != "snapshots") { continue; }
    const std::string name = repository_of(repository.filename().string());
    if (name.empty()) { continue; }
    fs::path blobs = fs::canonical(repository / "blobs", error);
    return HubSnapshot{name, at.filename().string(), at, error ? fs::path() : std::move(blobs)};
  }
  return std::nullopt;
}

std::optional<HubName> hub_name(std::string_view word) {
  const std::size_t at = word.find('@');
  const std::string_view repository = word.substr(0, at);
  const std::size_t slash = repository.find('/');
  const bool named = slash != repository.npos && is_plain(repository.substr(0, slash)) &&
                     is_plain(repository.substr(slash + 1));
  if (!named) { return std::nullopt; }
  if (at == word.npos) { return HubName{std::string(repository), ""}; }
  const std::string_view revision = word.substr(at + 1);
  if (!is_revision(revision)) { return std::nullopt; }
  return HubName{std::string(repository), std::string(revision)};
}

std::string fetch_command(const HubName& name) {
  return "hf download " + name.repository +
         (name.revision.empty() ? "" : " --revision " + name.revision);
}

fs::path resolve_model(const fs::path& word) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(word, error);
  const auto name = hub_name(word.native());
  if (!name || fs::exists(status) || !fs::status_known(status)) { return word; }
  const fs::path repository = hub_cache() / folder_of(name->repository);
  require(is_there(repository), ExitCode::io, Place{word.native()},
          "no such file or folder, and not in the hub cache ", repository.parent_path().string(),
          "; fetch it: ", fetch_command(*name));
  return find_snapshot(repository, *name);
}

std::vector<HubRepository> hub_repositories(const fs::path& cache) {
  std::vector<HubRepository> repositories;
  for (const fs::path& folder : folders_in(cache)) {
    HubRepository found{repository_of(folder.filename().string()),
                        folders_in(folder / "snapshots")};
    if (found.repository.empty() || found.snapshots.empty()) { continue; }
    fs::path main;
    try {
      main = referred(folder, "main");
    } catch (const Error&) {}  // a broken ref: the snapshots are there all the same
    const auto first = std::find(found.snapshots.begin(), found.snapshots.end(), main);
    if (first != found.snapshots.end()) { std::rotate(found.snapshots.begin(), first, first + 1); }
    repositories.push_back(std::move(found));
  }
  std::sort(
      repositories.begin(), repositories.end(),
      [](const HubRepository& a, const HubRepository& b) { return a.repository < b.repository; });
  return repositories;
}

}  // namespace kappascope
