// The tensors of a nanochat checkpoint by role, and κ's parameters among them (SPEC §1.3,
// SPEC-layouts §1.3a).
#pragma once

#include <string>

#include "core/error.h"
#include "core/model/families/nanochat_config.h"
#include "core/model/model.h"

namespace kappascope::nanochat {

// The tensor of a name, as it is or as it was spelled before it was renamed; nullptr: absent.
const TensorInfo* find_tensor(const TensorFile& file, std::string_view name);

// Fills model.weights and collects every tensor that is missing or not as the configuration
// demands.
void assign_roles(Model& model, const Config& config, Faults& faults);

// Tensors that neither the model needs nor training is known to leave.
std::vector<std::string> unknown_tensors(const Model& model, const Config& config);

// The weights that a checkpoint of this configuration has, in running order, with their shapes; no
// tensor is looked for. `file` is the meta, for messages, and must be there. Errors as read_config.
std::vector<Stored> expected_weights(const Json& meta, const std::filesystem::path& file);

}  // namespace kappascope::nanochat
