#include "core/corpus/corpus_files.h"

#include <glob.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>

#include "core/corpus/documents.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

bool take_ending(std::string& name, std::string_view ending) {
  if (!name.ends_with(ending)) { return false; }
  name.resize(name.size() - ending.size());
  return true;
}

bool has_ending(const std::string& name, std::initializer_list<std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

// What the pattern names, in the order of the names; nothing where it names nothing.
std::vector<std::string> matches_of(const std::string& pattern) {
  glob_t found{};
  const std::unique_ptr<glob_t, decltype(&globfree)> owner(&found, globfree);
  const int status = glob(pattern.c_str(), 0, nullptr, &found);
  require(status != GLOB_NOSPACE, ExitCode::memory, {.file = pattern}, "no memory for its matches");
  std::vector<std::string> matches;
  if (status == 0) { matches.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc); }
  return matches;
}

// The paths of one that was given: itself, or the matches of a pattern. A file may have the
// characters of a pattern in its name.
std::vector<std::string> paths_of(const std::string& given) {
  std::error_code error;
  if (fs::exists(fs::status(given, error))) { return {given}; }
  std::vector<std::string> paths;
  if (given.find_first_of("*?[") != std::string::npos) {
    paths = matches_of(given);
    require(!paths.empty(), ExitCode::io, {.file = given},
            "expected files that this pattern names, found none");
  } else {
    fail(ExitCode::io, {.file = given},
         "cannot be opened: ", error ? error.message() : std::generic_category().message(ENOENT));
  }
  return paths;
}

// Of a folder what its name says to be a text, of a file itself.
std::vector<std::string> files_at(const std::string& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) { return {path}; }
  std::vector<std::string> files = files_below(path);
  std::erase_if(files, [](const std::string& file) { return !file_form(file).known; });
  require(!files.empty(), ExitCode::unsupported, {.file = path},
          "expected a text, found none in it");
  return files;
}

}  // namespace

FileForm file_form(std::string_view path) {
  std::string name(path.substr(path.rfind('/') + 1));
  std::transform(name.begin(), name.end(), name.begin(), [](char unit) {
    return unit >= 'A' && unit <= 'Z' ? static_cast<char>(unit - 'A' + 'a') : unit;
  });
  FileForm form;
  if (take_ending(name, ".gz")) {
    form.packing = Packing::gzip;
  } else if (take_ending(name, ".zst")) {
    form.packing = Packing::zstd;
  }
  const bool packed = form.packing != Packing::none;
  form.known = true;
  if (has_ending(name, {".jsonl", ".ndjson"}) || (packed && name.ends_with(".json"))) {
    form.form = TextForm::json_lines;
  } else if (name.ends_with(".csv")) {
    form.form = TextForm::csv;
  } else if (name.ends_with(".parquet")) {
    form.form = TextForm::parquet;
  } else {
    form.known = has_ending(name, {".txt", ".text", ".md", ".rst", ".tex"});
  }
  return form;
}

bool has_fields(std::string_view path) {
  return file_form(path).form != TextForm::text;
}

std::vector<std::string> files_below(const std::string& folder) {
  std::vector<std::string> files;
  const auto hidden = [](const fs::path& path) {
    return path.filename().native().starts_with(".");
  };
  std::error_code error;
  fs::recursive_directory_iterator at(folder, error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    std::error_code unreadable;
    if (hidden(at->path())) {
      at.disable_recursion_pending();
    } else if (at->is_regular_file(unreadable)) {
      files.push_back(at->path().native());
    }
  }
  require(!error, ExitCode::io, {.file = folder}, "the folder cannot be read: ", error.message());
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> corpus_files(const std::vector<std::string>& given) {
  require(!given.empty(), ExitCode::usage, {}, "expected a text, found none");
  std::vector<std::string> files;
  for (const std::string& named : given) {
    for (const std::string& path : paths_of(named)) {
      for (const std::string& file : files_at(path)) {
        files.push_back(fs::absolute(file).lexically_normal().string());
      }
    }
  }
  return files;
}

}  // namespace kappascope
