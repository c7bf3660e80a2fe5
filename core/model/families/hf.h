// What every family of Hugging Face folders does after it has read its own fields.
#pragma once

#include "core/model/families/family.h"
#include "core/model/families/hf_config.h"
#include "core/model/families/hf_weights.h"

namespace kappascope::hf {

// Fills the model: architecture (its embedding, residual and output parts are set before), weights,
// document, leftovers. Throws all faults together.
void finish(Model& model, Config& config, const Sizes& sizes, std::vector<LayerSpec> layers,
            const ExpertNames& names, bool eight_bits = false);

}  // namespace kappascope::hf
