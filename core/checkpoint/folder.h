// Finds the files of a model folder: nanochat's (SPEC §1.1) or Hugging Face's (SPEC §2).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace kappascope {

enum class FolderKind : std::uint8_t {
  nanochat,     // model_NNNNNN.pt and meta_NNNNNN.json
  hugging_face  // config.json and one of kHubWeights
};

// Files with the weights of a Hugging Face folder, in the order in which they are looked for. The
// indices name shards.
inline constexpr std::array<std::string_view, 4> kHubWeights = {
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
    "pytorch_model.bin.index.json"};

struct CheckpointFiles {
  FolderKind kind = FolderKind::nanochat;
  std::filesystem::path weights;     // model_NNNNNN.pt, or one of kHubWeights
  std::filesystem::path meta;        // meta_NNNNNN.json, or config.json
  std::optional<std::int64_t> step;  // none in a Hugging Face folder, and the lists below empty
  std::vector<std::int64_t> steps;   // every complete pair in the folder, ascending
  // Where the newest step was taken: names of files of newer ones whose other half is missing.
  std::vector<std::string> missing_of_newer;  // "meta_000240.json"
};

// Also of what may not be looked at: false.
bool is_there(const std::filesystem::path& path);

// "model_", 240, ".pt" → "model_000240.pt"
std::string numbered(std::string_view prefix, std::int64_t step, std::string_view suffix);

// `path` is a model folder, a model_NNNNNN.pt inside one (which then names the step), one of
// kHubWeights or the config.json of a Hugging Face folder, a link to any of these, or the name
// org/name[@revision] of a folder in the hub cache. Without `step` the newest complete pair.
// Missing folder, file or pair: io; a pair whose half is absent is named in the error when it was
// asked for. A step of a Hugging Face folder: usage. optim_* shards are never looked at.
CheckpointFiles find_checkpoint(const std::filesystem::path& path,
                                std::optional<std::int64_t> step = std::nullopt);

// Whether the file of a Hugging Face folder may be read: `name` leads to no other folder (damaged),
// but for links into the blobs of the same repository in a hub cache, and the file is there (io).
// The message is without the file's name.
Failure check_hub_file(const std::filesystem::path& folder, const std::string& name);

// How a Hugging Face folder is completed: "; fetch it: hf download org/name", "" where it is not of
// a hub cache.
std::string hub_remedy(const std::filesystem::path& folder);

// The file of a model's tokenizer. `given`, when not empty: that file, or in that folder
// tokenizer.pkl, tokenizer.json or tokenizer.model, the first there is. Else tokenizer.json or
// tokenizer.model in the model folder, or tokenizer/tokenizer.pkl in it or in one of its three
// parents; where the folder or the weights in it are links, then of the folders they lead to and of
// theirs. Missing: io, naming the places that were tried.
std::filesystem::path find_tokenizer(const std::filesystem::path& model,
                                     const std::filesystem::path& given = {});

// The file of a tokenizer without a model: `path` itself when it has such a name, or the one in
// that folder, unless a model may be in it, too. Nothing: "".
std::filesystem::path find_tokenizer_alone(const std::filesystem::path& path);

}  // namespace kappascope
