#include "core/checkpoint/shards.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "core/checkpoint/json.h"
#include "core/checkpoint/other_format.h"
#include "core/checkpoint/safetensors.h"
#include "core/checkpoint/torch_pt.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxIndexBytes = 100'000'000;
constexpr std::size_t kMaxShardedTensors = std::size_t{1} << 22;
constexpr std::size_t kMaxShards = 4096;  // each is an open file

using WeightMap = std::map<std::string, std::string>;  // tensor → name of its shard

WeightMap read_index(const fs::path& path) {
  const InputFile file = InputFile::open(path);
  const Json index = with_format(file, Expected::json, [&] {
    return parse_json(read_text(file, kMaxIndexBytes), file.path(), NotFinite::refused,
                      kMaxShardedTensors);
  });
  const Place place{file.path()};
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  require(index.is_object() && map != index.end() && map->is_object() && !map->empty(),
          ExitCode::damaged, place, "weight_map: expected names of files by tensor, found ",
          index.is_object() && map != index.end() ? found_text(*map) : "none");
  WeightMap shards;
  Faults faults(file.path());
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string()) {
      faults.add(ExitCode::damaged, tensor, "weight_map: expected the name of a file, found ",
                 found_text(shard));
      continue;
    }
    shards.emplace(tensor, shard.get<std::string>());
  }
  faults.throw_if_any();
  return shards;
}

// Several failures as one line, with the gravest code: damaged before any other.
class Failures {
 public:
  void add(const Failure& failure) {
    constexpr std::size_t kMost = 20;
    const bool graver = failure.code == ExitCode::damaged || !all_;
    if (graver) { all_.code = failure.code; }
    if (++count_ <= kMost) { all_.message += (count_ == 1 ? "" : "; ") + failure.message; }
    if (count_ == kMost + 1) { all_.message += "; …"; }
  }
  void throw_if_any() const {
    if (all_) { throw Error(all_); }
  }

 private:
  Failure all_;
  std::size_t count_ = 0;
};

// Files that the map names, each once, ascending; all of them are there.
std::vector<std::string> shards_of(const WeightMap& map, const fs::path& index) {
  std::set<std::string> names;
  for (const auto& [tensor, shard] : map) { names.insert(shard); }
  require(names.size() <= kMaxShards, ExitCode::unsupported, Place{index.native()},
          "too many shards; expected at most ", kMaxShards, ", found ", names.size());
  Failures failures;
  for (const std::string& name : names) {
    const Failure failure = check_hub_file(index.parent_path(), name);
    const std::string file = (index.parent_path() / name).string();
    if (failure) { failures.add({failure.code, describe(Place{file}, failure.message)}); }
  }
  failures.throw_if_any();
  return {names.begin(), names.end()};
}

// Every tensor of the map is in the shard that it names.
void check_index(const TensorFile& tensors, const WeightMap& map, const fs::path& index) {
  Faults faults(index.string());
  for (const auto& [name, shard] : map) {
    const TensorInfo* tensor = tensors.find(name);
    if (tensor == nullptr) {
      if (tensors.find_other(name) == nullptr) {
        faults.add(ExitCode::damaged, name, "is not in ", shard, ", which weight_map names");
      }
      continue;
    }
    const std::string& found = tensors.file_of(*tensor).path();
    if (found != (index.parent_path() / shard).string()) {
      faults.add(ExitCode::damaged, name, "is not in ", shard, ", which weight_map names, but in ",
                 fs::path(found).filename().string());
    }
  }
  faults.throw_if_any();
}

TensorFile read_shards(const fs::path& index, TensorFile (*read)(const fs::path&)) {
  const WeightMap map = read_index(index);
  std::vector<TensorFile> shards;
  Failures failures;
  for (const std::string& name : shards_of(map, index)) {
    try {
      shards.push_back(read(index.parent_path() / name));
    } catch (const Error& error) { failures.add(error.failure()); }
  }
  failures.throw_if_any();
  TensorFile tensors = TensorFile::join(std::move(shards));
  check_index(tensors, map, index);
  return tensors;
}

}  // namespace

TensorFile read_weights(const CheckpointFiles& files) {
  const std::string name = files.weights.filename().string();
  const auto is = [&](std::string_view suffix) { return name.ends_with(suffix); };
  if (is(".safetensors.index.json")) { return read_shards(files.weights, read_safetensors); }
  if (is(".bin.index.json")) { return read_shards(files.weights, read_torch_pt); }
  return is(".safetensors") ? read_safetensors(files.weights) : read_torch_pt(files.weights);
}

}  // namespace kappascope
