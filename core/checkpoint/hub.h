// The local cache of the Hugging Face hub, as huggingface_hub lays it out. Nothing is downloaded.
//
//   CACHE/models--ORG--NAME/refs/main                  the name of a snapshot
//   CACHE/models--ORG--NAME/snapshots/REVISION/FILE    a link to ../../blobs/HASH
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kappascope {

// $HF_HUB_CACHE, else $HF_HOME/hub, else huggingface/hub in $XDG_CACHE_HOME or ~/.cache.
std::filesystem::path hub_cache();

// A snapshot of a repository in a hub cache.
struct HubSnapshot {
  std::string repository;        // "org/name"
  std::string revision;          // the snapshot's folder, a commit
  std::filesystem::path folder;  // without links
  std::filesystem::path blobs;   // where its links lead to, without links; empty: none
};

// The snapshot that a folder, or a file in it, is of; nothing where it is in no hub cache.
std::optional<HubSnapshot> hub_snapshot(const std::filesystem::path& folder);

// "org/name[@revision]" of a repository that is not a path.
struct HubName {
  std::string repository;
  std::string revision;  // "": main
};
std::optional<HubName> hub_name(std::string_view word);

// The command that fetches what is missing: "hf download org/name --revision v2".
std::string fetch_command(const HubName& name);

// The folder that a word of the command line means: the path itself where it exists or is no name,
// else the snapshot of the hub cache. Absent: io, with the command that would fetch it.
std::filesystem::path resolve_model(const std::filesystem::path& word);

// Folders in a folder, ascending; none where it is absent. Unreadable: io.
std::vector<std::filesystem::path> folders_in(const std::filesystem::path& folder);

// Repositories of a cache, "org/name" ascending, with their snapshots: that of refs/main first, the
// others by name. A cache that is absent has none; one that cannot be read: io.
struct HubRepository {
  std::string repository;
  std::vector<std::filesystem::path> snapshots;  // at least one
};
std::vector<HubRepository> hub_repositories(const std::filesystem::path& cache);

}  // namespace kappascope
