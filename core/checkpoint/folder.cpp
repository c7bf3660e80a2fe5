#include "core/checkpoint/folder.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>

#include "core/checkpoint/hub.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

// "model_000120.pt" → 120 for ("model_", ".pt"): six digits, more only when six do not hold it.
std::optional<std::int64_t> step_of(std::string_view name, std::string_view prefix,
                                    std::string_view suffix) {
  constexpr std::size_t kDigits = 6, max_digits = 18;
  if (name.size() < prefix.size() + kDigits + suffix.size() ||
      name.substr(0, prefix.size()) != prefix ||
      name.substr(name.size() - suffix.size()) != suffix) {
    return std::nullopt;
  }
  const std::string_view text =
      name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
  if (text.size() > max_digits || (text.size() > kDigits && text[0] == '0')) {
    return std::nullopt;
  }
  std::int64_t step = -1;
  const char* end = text.data() + text.size();
  const bool is_number = text[0] != '-' && std::from_chars(text.data(), end, step).ptr == end;
  return is_number ? std::optional(step) : std::nullopt;
}

// Steps of which the folder holds a model_ file, and a meta_ file; each ascending.
struct Found {
  std::vector<std::int64_t> models, metas;
};

Found list_steps(const fs::path& folder) {
  Found found;
  std::error_code error;
  fs::directory_iterator at(folder, error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (const auto step = step_of(name, "model_", ".pt")) { found.models.push_back(*step); }
    if (const auto step = step_of(name, "meta_", ".json")) { found.metas.push_back(*step); }
  }
  require(!error, ExitCode::io, Place{folder.native(), {}, -1},
          "the folder cannot be read: ", error.message());
  std::sort(found.models.begin(), found.models.end());
  std::sort(found.metas.begin(), found.metas.end());
  return found;
}

bool holds(const std::vector<std::int64_t>& steps, std::int64_t step) {
  return std::binary_search(steps.begin(), steps.end(), step);
}

std::string list_text(const std::vector<std::int64_t>& steps) {
  std::string text;
  for (const std::int64_t step : steps) {
    text += (text.empty() ? "" : ", ") + std::to_string(step);
  }
  return text.empty() ? "none" : text;
}

[[noreturn]] void fail_incomplete(const fs::path& folder, const Found& found, std::int64_t step,
                                  const std::vector<std::int64_t>& complete) {
  const Place place{folder.native(), {}, -1};
  const bool has_model = holds(found.models, step), has_meta = holds(found.metas, step);
  if (!has_model && !has_meta) {
    fail(ExitCode::io, place, "no checkpoint of step ", step,
         "; found steps: ", list_text(complete));
  }
  fail(ExitCode::io, place, "the checkpoint of step ", step, " is incomplete; ",
       has_model ? numbered("meta_", step, ".json") : numbered("model_", step, ".pt"),
       " is missing");
}

// The halves that are missing of steps after `step`: still being written, or not copied along.
std::vector<std::string> missing_halves(const Found& found, std::int64_t step) {
  std::vector<std::string> missing;
  for (const std::int64_t newer : found.models) {
    if (newer > step && !holds(found.metas, newer)) {
      missing.push_back(numbered("meta_", newer, ".json"));
    }
  }
  for (const std::int64_t newer : found.metas) {
    if (newer > step && !holds(found.models, newer)) {
      missing.push_back(numbered("model_", newer, ".pt"));
    }
  }
  return missing;
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// Folders from which a tokenizer is looked for upwards: the model's as its path is given, then
// those that each link on the way leads to, last the folders that the weights really are in.
std::vector<fs::path> search_starts(const fs::path& model) {
  std::error_code error;
  std::vector<fs::path> starts;
  const auto add = [&](fs::path folder) {
    if (!is_folder(folder)) { folder = folder.parent_path(); }
    if (!folder.has_filename()) {
      folder = folder.parent_path();  // "runs/d8/" → "runs/d8"
    }
    if (std::find(starts.begin(), starts.end(), folder) == starts.end()) {
      starts.push_back(folder);
    }
  };
  fs::path at = fs::absolute(model, error);
  if (!at.has_filename()) { at = at.parent_path(); }
  add(at.lexically_normal());
  for (int links = 0; links < 40 && fs::is_symlink(at, error); ++links) {
    at = at.parent_path() / fs::read_symlink(at, error);
    add(at.lexically_normal());
  }
  const fs::path real = fs::canonical(model, error);
  if (!error) { add(real); }
  for (fs::directory_iterator entry(is_folder(model) ? model : fs::path(), error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (!step_of(entry->path().filename().string(), "model_", ".pt")) { continue; }
    std::error_code broken;
    if (!entry->is_symlink(broken)) { continue; }
    const fs::path weights = fs::canonical(entry->path(), broken);
    if (!broken) { add(weights); }
  }
  return starts;
}

// The folder of a model_NNNNNN.pt: the one that its path names, or, where that has no meta of the
// step and the file is a link, the one that the file really is in.
fs::path folder_of(const fs::path& weights, std::int64_t step) {
  const fs::path named = weights.has_parent_path() ? weights.parent_path() : fs::path(".");
  const std::string meta = numbered("meta_", step, ".json");
  std::error_code broken;
  const fs::path real = fs::canonical(weights, broken);
  const bool elsewhere = !broken && !is_there(named / meta) &&
                         real.filename() == numbered("model_", step, ".pt") &&
                         is_there(real.parent_path() / meta);
  return elsewhere ? real.parent_path() : named;
}

constexpr std::string_view kHubConfig = "config.json";

// Whether the file is there, perhaps as a link to one that is not.
bool is_named(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

// Both without links.
bool is_inside(const fs::path& file, const fs::path& folder) {
  const auto [in_folder, in_file] =
      std::mismatch(folder.begin(), folder.end(), file.begin(), file.end());
  return !folder.empty() && in_folder == folder.end() && in_file != file.end();
}

bool is_hub_folder(const fs::path& folder) {
  return is_named(folder / kHubConfig) ||
         std::any_of(kHubWeights.begin(), kHubWeights.end(),
                     [&](std::string_view name) { return is_named(folder / name); });
}

// `weights`: which of kHubWeights; "": the first that is there.
CheckpointFiles hub_files(const fs::path& folder, std::optional<std::int64_t> step,
                          std::string_view weights = "") {
  const Place place{folder.native()};
  require(!step, ExitCode::usage, place, "a Hugging Face folder has no training steps; found step ",
          step.value_or(0));
  for (const std::string_view name : kHubWeights) {
    if (weights.empty() && is_named(folder / name)) { weights = name; }
  }
  std::string names;
  for (const std::string_view name : kHubWeights) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  require(!weights.empty(), ExitCode::io, place, "no weights beside ", kHubConfig,
          "; expected one of ", names, hub_remedy(folder));
  for (const std::string_view name : {kHubConfig, weights}) {
    const Failure failure = check_hub_file(folder, std::string(name));
    require(!failure, failure.code, Place{(folder / name).native()}, failure.message);
  }
  CheckpointFiles files;
  files.kind = FolderKind::hugging_face;
  files.weights = folder / weights;
  files.meta = folder / kHubConfig;
  return files;
}

// The folder that a file of it names.
CheckpointFiles hub_files_of(const fs::path& file, std::optional<std::int64_t> step) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  const std::string name = file.filename().string();
  if (name == kHubConfig) { return hub_files(folder, step); }
  const auto known = std::find(kHubWeights.begin(), kHubWeights.end(), name);
  const bool shard = known == kHubWeights.end() && is_hub_folder(folder) &&
                     (name.ends_with(".safetensors") || name.ends_with(".bin"));
  require(!shard, ExitCode::unsupported, Place{file.native()},
          "one of the files of a model; open its folder: ", folder.string());
  require(known != kHubWeights.end(), ExitCode::unsupported, Place{file.native()},
          "not a checkpoint; expected a folder, model_NNNNNN.pt or model.safetensors");
  return hub_files(folder, step, *known);
}

}  // namespace

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string numbered(std::string_view prefix, std::int64_t step, std::string_view suffix) {
  const std::string digits = std::to_string(step);
  const std::string zeros(digits.size() < 6 ? 6 - digits.size() : 0, '0');
  return std::string(prefix) + zeros + digits + std::string(suffix);
}

Failure check_hub_file(const fs::path& folder, const std::string& name) {
  const fs::path relative = name;
  const bool climbs = std::find(relative.begin(), relative.end(), "..") != relative.end();
  if (name.find('\0') != name.npos) {
    return {ExitCode::damaged, "a name with a NUL byte; expected the name of a file in the folder"};
  }
  if (name.empty() || relative.is_absolute() || climbs || !relative.has_filename()) {
    return {ExitCode::damaged, "leads out of the folder; expected the name of a file in it"};
  }
  std::error_code error;
  const fs::path real = fs::canonical(folder / relative, error);
  if (error) {
    const bool link = fs::is_symlink(folder / relative, error);
    return {ExitCode::io,
            (link ? "is a link to a file that is not there" : "is missing") + hub_remedy(folder)};
  }
  const fs::path base = fs::canonical(folder, error);
  const auto snapshot = hub_snapshot(folder);
  if (error || is_inside(real, base) || (snapshot && is_inside(real, snapshot->blobs))) {
    return {};
  }
  return {ExitCode::damaged, "is a link out of the folder, to " + real.string() +
                                 "; expected a file in it: copy it there"};
}

std::string hub_remedy(const fs::path& folder) {
  const auto snapshot = hub_snapshot(folder);
  if (!snapshot) { return ""; }
  return "; fetch it: " + fetch_command({snapshot->repository, snapshot->revision});
}

CheckpointFiles find_checkpoint(const fs::path& word, std::optional<std::int64_t> step) {
  const fs::path path = resolve_model(word);
  const Place place{path.native(), {}, -1};
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  require(fs::status_known(status), ExitCode::io, place, "cannot be examined: ", error.message());
  require(fs::exists(status), ExitCode::io, place, "no such file or folder");
  fs::path folder = path;
  if (!fs::is_directory(status)) {
    const std::string name = path.filename().string();
    const auto named = step_of(name, "model_", ".pt");
    if (!named) { return hub_files_of(path, step); }
    require(!step || *step == *named, ExitCode::usage, place, "the file is of step ", *named,
            ", not of the step asked for, ", step.value_or(*named));
    step = named;
    folder = folder_of(path, *named);
  }
  const Found found = list_steps(folder);
  if (found.models.empty() && found.metas.empty() && is_hub_folder(folder)) {
    return hub_files(folder, step);
  }
  CheckpointFiles files;
  std::set_intersection(found.models.begin(), found.models.end(), found.metas.begin(),
                        found.metas.end(), std::back_inserter(files.steps));
  if (step && !holds(files.steps, *step)) { fail_incomplete(folder, found, *step, files.steps); }
  if (!step && files.steps.empty()) {
    require(found.models.empty(), ExitCode::io, place,
            "no complete checkpoint: model_ files without their meta_NNNNNN.json, steps ",
            list_text(found.models));
    fail(ExitCode::io, place, "no checkpoint; expected model_NNNNNN.pt and meta_NNNNNN.json, or ",
         kHubConfig, " and model.safetensors");
  }
  const std::int64_t taken = step ? *step : files.steps.back();
  if (!step) { files.missing_of_newer = missing_halves(found, taken); }
  files.step = taken;
  files.weights = folder / numbered("model_", taken, ".pt");
  files.meta = folder / numbered("meta_", taken, ".json");
  return files;
}

namespace {

constexpr std::array<std::string_view, 3> kTokenizerFiles = {"tokenizer.pkl", "tokenizer.json",
                                                             "tokenizer.model"};

// "" when `folder` has none of them.
fs::path tokenizer_in(const fs::path& folder) {
  for (const std::string_view name : kTokenizerFiles) {
    if (is_there(folder / name)) { return folder / name; }
  }
  return {};
}

// What to do about tokenizer files that are not read.
std::string other_tokenizer_files(const fs::path& folder) {
  const bool lists = is_there(folder / "vocab.json") && is_there(folder / "merges.txt");
  if (!lists && !is_there(folder / "tiktoken.model")) { return {}; }
  return join_words("; ", lists ? "vocab.json and merges.txt are" : "tiktoken.model is",
                    " not read: `save_pretrained` of the tokenizer in transformers writes a "
                    "tokenizer.json");
}

}  // namespace

fs::path find_tokenizer(const fs::path& model, const fs::path& given) {
  if (!given.empty()) {
    if (is_there(given) && !is_folder(given)) { return given; }
    fs::path file = tokenizer_in(given);
    require(
        !file.empty(), ExitCode::io, Place{given.native(), {}, -1},
        "no tokenizer; expected tokenizer.pkl, tokenizer.json or tokenizer.model in this folder",
        other_tokenizer_files(given));
    return file;
  }
  std::string tried;
  std::string others;
  for (const fs::path& start : search_starts(model)) {
    fs::path folder = start;
    if (fs::path file = tokenizer_in(folder); !file.empty()) { return file; }
    if (others.empty()) { others = other_tokenizer_files(folder); }
    for (int i = 0; i < 4; ++i) {
      fs::path file = folder / "tokenizer" / kTokenizerFiles.front();
      if (is_there(file)) { return file; }
      const std::string place = (folder / "tokenizer").string();
      if (tried.find(place) == tried.npos) { tried += (tried.empty() ? "" : ", ") + place; }
      if (folder == folder.parent_path()) { break; }
      folder = folder.parent_path();
    }
  }
  fail(ExitCode::io, Place{model.native(), {}, -1},
       "no tokenizer; expected tokenizer.json or tokenizer.model in it, or ",
       kTokenizerFiles.front(), " in one of ", tried, others);
}

fs::path find_tokenizer_alone(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!is_folder(path)) {
    const bool named =
        std::any_of(kTokenizerFiles.begin(), kTokenizerFiles.end(), [&](std::string_view file) {
          return name.starts_with("tokenizer") && path.extension() == fs::path(file).extension();
        });
    return named ? path : fs::path();
  }
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(path, ignored)) {
    const std::string file = entry.path().filename().string();
    if (file == "config.json" || file.starts_with("model") || file.starts_with("pytorch_model")) {
      return {};
    }
  }
  return tokenizer_in(path);
}

}  // namespace kappascope
