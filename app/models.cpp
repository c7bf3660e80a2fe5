#include "app/models.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "core/checkpoint/hub.h"
#include "core/model/model.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

// Names that families give to the number of experts.
constexpr std::array<const char*, 5> kExpertFields = {
    "num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "n_exp"};

bool has_experts(const Json& config) {
  const auto more_than_one = [&](const char* field) {
    const auto found = config.find(field);
    return found != config.end() && found->is_number() && *found > 1;
  };
  return std::any_of(kExpertFields.begin(), kExpertFields.end(), more_than_one);
}

// What a model that cannot be opened says of itself.
void describe_by_config(ListedModel& model) {
  Json config;
  try {
    const std::string file = (model.folder / "config.json").string();
    config = parse_json(read_text_file(file, kMetaLimit), file, NotFinite::numbers);
  } catch (const Error& error) {
    model.experts = error.code() == ExitCode::damaged;  // it may have some: it is listed
    return;
  }
  if (!config.is_object()) { return; }
  const auto type = config.find("model_type");
  if (type != config.end() && type->is_string()) { model.family = type->get<std::string>(); }
  const auto text = config.find("text_config");  // of a model that sees pictures, too
  model.experts =
      has_experts(config) || (text != config.end() && text->is_object() && has_experts(*text));
}

// Bytes of the weights in a folder, by the ends of their names: those of the first end that any
// has.
std::uint64_t weight_bytes(const fs::path& folder) {
  for (const std::string_view end : {".safetensors", ".bin", ".pt", ".gguf"}) {
    std::uint64_t bytes = 0;
    std::error_code error;
    for (fs::directory_iterator at(folder, error); !error && at != fs::directory_iterator();
         at.increment(error)) {
      std::error_code gone;
      const std::uint64_t size = fs::file_size(at->path(), gone);
      if (!gone && at->path().native().ends_with(end)) { bytes += size; }
    }
    if (bytes > 0) { return bytes; }
  }
  return 0;
}

// A message without the folder, which the list names beside it.
std::string without_folder(std::string text, const fs::path& folder) {
  for (const std::string& part : {folder.string() + "/", folder.string() + ": "}) {
    for (std::size_t at = 0; (at = text.find(part, at)) != text.npos;) {
      text.erase(at, part.size());
    }
  }
  return text;
}

void examine(ListedModel& model) {
  try {
    const Model opened = open_model(model.folder, {.step = {}, .kappa = {}, .kappa_values = false});
    model.family = opened.architecture.family;
    model.experts = opened.architecture.first_moe() != nullptr;
    model.bytes = opened.tensors->size();
    model.step = opened.files.step;
  } catch (...) {
    model.refusal = without_folder(failure_in_flight().line(), model.folder);
    model.bytes = weight_bytes(model.folder);
    describe_by_config(model);
  }
}

// Whether a word of the command line means that snapshot.
bool opens(const std::string& word, const fs::path& snapshot) {
  try {
    std::error_code gone;
    return fs::equivalent(resolve_model(word), snapshot, gone);
  } catch (const Error&) { return false; }
}

void add_hub_models(ModelPlace& place) {
  for (const HubRepository& repository : hub_repositories(place.folder)) {
    for (const fs::path& snapshot : repository.snapshots) {
      ListedModel& model = place.models.emplace_back();
      model.name = repository.repository;
      if (!opens(model.name, snapshot)) { model.name += "@" + snapshot.filename().string(); }
      model.open_as = opens(model.name, snapshot) ? model.name : snapshot.string();
      model.folder = snapshot;
      examine(model);
    }
  }
}

fs::path nanochat_folder() {
  const char* given = std::getenv("NANOCHAT_BASE_DIR");
  if (given != nullptr && *given != '\0') { return given; }
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "" : home) / ".cache" / "nanochat";
}

void add_stage(ModelPlace& place, const std::string& stage) {
  for (const fs::path& path : folders_in(place.folder / stage)) {
    ListedModel& model = place.models.emplace_back();
    model.name = stage + "/" + path.filename().string();
    model.open_as = path.string();
    model.folder = path;
    examine(model);
    model.experts = model.experts || !model.refusal.empty();  // listed whatever it is
  }
}

void add_nanochat_models(ModelPlace& place) {
  for (const char* stage : {"base_checkpoints", "chatsft_checkpoints", "chatrl_checkpoints"}) {
    add_stage(place, stage);
  }
}

ModelPlace read_place(const char* title, fs::path folder, void (*add_models)(ModelPlace&)) {
  ModelPlace place{title, std::move(folder), {}, ""};
  try {
    add_models(place);
  } catch (const Error& error) { place.failure = error.what(); }
  return place;
}

}  // namespace

std::vector<ModelPlace> list_models() {
  return {read_place("hub cache", hub_cache(), add_hub_models),
          read_place("nanochat", nanochat_folder(), add_nanochat_models)};
}

}  // namespace kappascope
