// Models on this machine that were not named: what `kappascope models` prints and the window
// offers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kappascope {

struct ListedModel {
  std::string name;                  // "org/name", "org/name@REVISION", "base_checkpoints/d20"
  std::string open_as;               // what opens it: that name, or the folder of a nanochat model
  std::filesystem::path folder;      // where its files are
  std::string family;                // as Architecture::family, else model_type; "": not known
  bool experts = false;              // it has MoE layers
  std::uint64_t bytes = 0;           // of its weights: all shards, of nanochat's the newest step
  std::optional<std::int64_t> step;  // the newest of a nanochat folder
  std::string refusal;               // one line: why it cannot be opened; "": it can
};

// Models that one folder holds.
struct ModelPlace {
  std::string title;                // "hub cache", "nanochat"
  std::filesystem::path folder;     // it need not exist
  std::vector<ListedModel> models;  // by name
  std::string failure;              // why the folder cannot be read; "": it was, or is absent
};

// The hub cache (every snapshot of every model), and the folders base_checkpoints,
// chatsft_checkpoints and chatrl_checkpoints in $NANOCHAT_BASE_DIR, or ~/.cache/nanochat. Reads
// configurations and headers, no weights, and downloads nothing.
std::vector<ModelPlace> list_models();

}  // namespace kappascope
