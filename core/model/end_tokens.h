// The tokens that end a text, as a model's folder says.
#pragma once

#include <cstdint>
#include <vector>

#include "core/model/model.h"

namespace kappascope {

// "eos_token_id" of generation_config.json beside the weights, else of config.json, or of the text
// model in it: an id or a list. Empty: the folder names none. Of another kind: damaged.
std::vector<std::int32_t> end_tokens(const Model& model);

}  // namespace kappascope
