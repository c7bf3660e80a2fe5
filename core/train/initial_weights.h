// The weights that a training run starts from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/train/settings.h"

namespace kappascope {

struct NamedValues {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

// All tensors of the checkpoint of the settings, whose meta_json is `meta`, in `file`, as the
// reference implementation sets them: outputs of layers 0, κ = 1, the rest random. A tensor of one
// name and shape is the same in every model of one seed.
std::vector<NamedValues> initial_weights(const TrainSettings& settings, const Json& meta,
                                         const std::filesystem::path& file);

}  // namespace kappascope
