// Who turns a checkpoint into an Architecture: one file for each kind of training repository.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/model/model.h"

namespace kappascope {

struct Family {
  const char* name;        // as Architecture::family
  const char* model_type;  // in config.json; nullptr: its configuration is no config.json
  const char* anchor;  // a tensor that each of its models has, for what precedes names in a file
  // Fills the model whose files and tensors are set: architecture, weights, κ, findings, warnings.
  // All faults together: damaged, unsupported.
  void (*read)(Model& model, const Json& meta, const OpenOptions& options);
};

// Every family.
std::span<const Family> families();

// Whose a configuration is. None: unsupported, naming the nearest one.
const Family& family_of(const Json& meta, const CheckpointFiles& files);

extern const Family kNanochat, kMixtral, kQwen2Moe, kQwen3Moe, kOlmoe, kGptOss, kMellum,
    kGraniteMoe, kGraniteMoeShared, kDots1, kGlm4Moe, kErnie45Moe, kFlexOlmo, kPhiMoe, kDeepseekV2,
    kDeepseekV3, kLfm2Moe, kQwen3Next, kQwen35Moe, kQwen35MoeText;

}  // namespace kappascope
