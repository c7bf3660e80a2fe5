// Finds the files of a model folder (SPEC §1.1).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"

namespace kappascope {

struct CheckpointFiles {
  std::filesystem::path weights;  // model_NNNNNN.pt
  std::filesystem::path meta;     // meta_NNNNNN.json
  std::int64_t step = 0;
  std::vector<std::int64_t> steps;  // every complete pair in the folder, ascending
  // Where the newest step was taken: names of files of newer ones whose other half is missing.
  std::vector<std::string> missing_of_newer;  // "meta_000240.json"
};

// `path` is a model folder or a model_NNNNNN.pt inside one (which then names the step), or a link
// to either. Without `step` the newest complete pair. Missing folder or pair: io; a pair whose half
// is absent is named in the error when it was asked for. optim_* shards are never looked at.
CheckpointFiles find_checkpoint(const std::filesystem::path& path,
                                std::optional<std::int64_t> step = std::nullopt);

// The `tokenizer.pkl` of a model: in `override_folder` when given, else in tokenizer/ of the model
// folder or of its three parents; where the folder or the weights in it are links, then of the
// folders they lead to and of theirs. Missing: io, naming the places that were tried.
std::filesystem::path find_tokenizer(const std::filesystem::path& model,
                                     const std::filesystem::path& override_folder = {});

}  // namespace kappascope
