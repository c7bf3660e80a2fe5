#include "app/gui/path_listing.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <system_error>

#include "core/figure/text.h"
#include "core/trace/trace.h"
#include "core/train/train_log.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMostEntries = 5000, kMostInside = 2000;
constexpr std::chrono::milliseconds kListingTime{1000};

using Entry = FolderListing::Entry;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? char(c + 32) : c;
}

bool same_letter(char a, char b) {
  return lower(a) == lower(b);
}

bool begins(const std::string& text, const std::string& start, bool any_case) {
  if (text.size() < start.size()) { return false; }
  return any_case ? std::equal(start.begin(), start.end(), text.begin(), same_letter)
                  : text.starts_with(start);
}

// Of model_NNNNNN.pt.
std::optional<long> step_of(const std::string& name) {
  if (!name.starts_with("model_") || !name.ends_with(".pt")) { return std::nullopt; }
  const std::string digits = name.substr(6, name.size() - 9);
  if (digits.empty() || digits.size() > 12) { return std::nullopt; }
  if (digits.find_first_not_of("0123456789") != std::string::npos) { return std::nullopt; }
  return std::atol(digits.c_str());
}

// Beside model_NNNNNN.pt, without which its step is left out.
bool has_meta(const fs::path& folder, const std::string& model) {
  std::error_code error;
  return fs::exists(folder / ("meta_" + model.substr(6, model.size() - 9) + ".json"), error);
}

std::string model_mark(long step) {
  return "model, step " + count_text(step);
}

// A session names its schema, before its traces.
bool holds_schema(const fs::path& file) {
  constexpr std::streamoff kEnd = 65536;
  std::error_code error;
  if (!fs::is_regular_file(file, error)) { return false; }
  std::ifstream in(file, std::ios::binary);
  in.seekg(0, std::ios::end);
  in.seekg(-std::min<std::streamoff>(in.tellg(), kEnd), std::ios::end);
  std::string end(std::size_t(kEnd), ' ');
  in.read(end.data(), kEnd);
  return end.find("kappascope.session/") != std::string::npos;
}

void mark_folder(const fs::path& path, Entry& entry) {
  std::error_code error;
  if (fs::is_regular_file(path / kTraceFile, error)) {
    entry.kind = EntryKind::trace;
    entry.mark = "trace";
    return;
  }
  long newest = -1;
  std::size_t seen = 0;
  bool alone = false;                    // weights of a step, perhaps without their meta
  bool config = false, weights = false;  // of the Hugging Face layout
  std::size_t runs = 0;                  // of training, here or each in a folder of it
  for (fs::directory_iterator at(path, error), end; !error && at != end && ++seen < kMostInside;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    const auto step = step_of(name);
    if (step && *step > newest && has_meta(path, name)) { newest = *step; }
    alone |= step.has_value();
    config |= name == "config.json";
    weights |= name.ends_with(".safetensors") || name.ends_with(".bin");
    std::error_code unreadable;
    const bool inside =
        at->is_directory(unreadable) && fs::exists(at->path() / kTrainLog, unreadable);
    runs += inside || name == kTrainLog ? 1 : 0;
  }
  if (!alone && !(config && weights)) {
    if (runs == 0) { return; }
    entry.kind = EntryKind::training;
    entry.mark = runs == 1 ? "training run" : std::to_string(runs) + " training runs";
    return;
  }
  entry.kind = EntryKind::model;
  entry.mark = newest < 0 ? "model" : model_mark(newest);
}

void mark_file(const fs::path& path, Entry& entry) {
  const auto is = [&](EntryKind kind, std::string mark) {
    entry.kind = kind;
    entry.mark = std::move(mark);
  };
  if (entry.name.ends_with(".npz") && entry.name != kModelFile) {
    is(EntryKind::trace, "trace");
  } else if (const auto step = step_of(entry.name)) {
    is(EntryKind::model, model_mark(*step));
  } else if (entry.name.ends_with(".pt")) {
    is(EntryKind::model, "model");
  } else if (entry.name == kTrainLog) {
    is(EntryKind::training, "training run");
  } else if (entry.name.ends_with(".json") && holds_schema(path)) {
    is(EntryKind::session, "session");
  }
}

}  // namespace

FolderListing list_folder(const fs::path& folder) {
  FolderListing listing{folder, {}, {}};
  const auto start = std::chrono::steady_clock::now();
  std::error_code error;
  fs::directory_iterator at(folder, error);
  if (error) { listing.problem = error.message(); }
  for (const fs::directory_iterator end; !error && at != end; at.increment(error)) {
    if (listing.entries.size() >= kMostEntries) { break; }
    std::error_code unreadable;
    Entry entry;
    entry.name = at->path().filename().string();
    entry.folder = at->is_directory(unreadable);
    if (entry.folder) { entry.kind = EntryKind::folder; }
    if (!entry.folder) {
      mark_file(at->path(), entry);
    } else if (std::chrono::steady_clock::now() - start < kListingTime) {
      mark_folder(at->path(), entry);
    }
    listing.entries.push_back(std::move(entry));
  }
  std::sort(listing.entries.begin(), listing.entries.end(), [](const Entry& a, const Entry& b) {
    return a.folder != b.folder ? a.folder : a.name < b.name;
  });
  return listing;
}

Entry entry_at(const fs::path& path) {
  std::error_code error;
  Entry entry;
  entry.name = path.filename().string();
  entry.folder = fs::is_directory(path, error);
  if (entry.folder) { entry.kind = EntryKind::folder; }
  if (entry.folder) {
    mark_folder(path, entry);
  } else {
    mark_file(path, entry);
  }
  return entry;
}

std::string without_tilde(const std::string& typed) {
  const char* home = std::getenv("HOME");
  const bool tilde = typed == "~" || typed.starts_with("~/");
  return tilde && home ? home + typed.substr(1) : typed;
}

fs::path typed_folder(const std::string& typed) {
  const std::string plain = without_tilde(typed);
  const std::size_t slash = plain.rfind('/');
  return slash == std::string::npos ? fs::path("./") : fs::path(plain.substr(0, slash + 1));
}

std::string typed_name(const std::string& typed) {
  const std::size_t slash = typed.rfind('/');
  return slash == std::string::npos ? typed : typed.substr(slash + 1);
}

std::vector<std::size_t> narrowed(const FolderListing& listing, const std::string& name) {
  std::vector<std::size_t> places;
  const bool hidden = name.starts_with('.');
  for (std::size_t i = 0; i < listing.entries.size(); ++i) {
    const std::string& text = listing.entries[i].name;
    if (text.starts_with('.') && !hidden) { continue; }
    const auto found = std::search(text.begin(), text.end(), name.begin(), name.end(), same_letter);
    if (name.empty() || found != text.end()) { places.push_back(i); }
  }
  return places;
}

std::string completed(const FolderListing& listing, const std::string& name) {
  for (const bool any_case : {false, true}) {
    std::vector<const Entry*> found;
    for (const Entry& entry : listing.entries) {
      if (entry.name.starts_with('.') && !name.starts_with('.')) { continue; }
      if (begins(entry.name, name, any_case)) { found.push_back(&entry); }
    }
    if (found.empty()) { continue; }
    std::string common = found.front()->name;
    for (const Entry* entry : found) {
      std::size_t same = 0;
      while (same < common.size() && same < entry->name.size() &&
             common[same] == entry->name[same]) {
        ++same;
      }
      common.resize(same);
    }
    // Not in the middle of a character.
    const std::string& first = found.front()->name;
    while (!common.empty() && common.size() < first.size() &&
           (static_cast<unsigned char>(first[common.size()]) & 0xC0) == 0x80) {
      common.pop_back();
    }
    if (found.size() == 1) { return common + (found.front()->folder ? "/" : ""); }
    return common.size() >= name.size() ? common : name;
  }
  return name;
}

}  // namespace kappascope::gui
