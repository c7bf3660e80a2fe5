// What the dialogs that ask for a path know of a folder: its entries and what can be opened of
// them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace kappascope::gui {

enum class EntryKind : std::uint8_t { folder, model, trace, training, session, other };

struct FolderListing {
  std::filesystem::path folder;
  std::string problem;  // why it cannot be listed; "": it was
  struct Entry {
    std::string name;
    bool folder = false;  // a model or a trace may be one
    EntryKind kind = EntryKind::other;
    std::string mark;  // "model, step 4800"; "" for what cannot be opened
  };
  std::vector<Entry> entries;  // folders first, by name
};

// Lists at most 5,000 entries, and looks into folders for what they are for at most a second: after
// that they are plain folders. For a job.
FolderListing list_folder(const std::filesystem::path& folder);

// What is at `path`, and its mark.
FolderListing::Entry entry_at(const std::filesystem::path& path);

// "~/x" with the home folder; anything else as it is.
std::string without_tilde(const std::string& typed);

// Of "/a/b": "/a/" and "b".
std::filesystem::path typed_folder(const std::string& typed);
std::string typed_name(const std::string& typed);

// Places in `entries` whose names contain `name`, whatever the case; those that begin with a dot
// only when `name` does.
std::vector<std::size_t> narrowed(const FolderListing& listing, const std::string& name);

// What Tab makes of `name`: as much as all entries that begin with it have in common, with "/"
// after a folder's whole name. `name` itself when nothing begins so.
std::string completed(const FolderListing& listing, const std::string& name);

}  // namespace kappascope::gui
