// An opened model: configuration, tensors by role, κ parameters. No weight is read but the small κ
// ones; no Torch. The engine turns it into something that runs.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint/folder.h"
#include "core/checkpoint/tensor.h"
#include "core/model/config.h"
#include "kernels/kernels.h"

namespace kappascope {

// κ parameters of one layer as float32, in the granularity they are stored in. (paper eq. of
// κ = U^tanh(α·s + b); legacy outer products are multiplied out to per-gate.)
struct KappaParameters {
  std::vector<float>
      bias;  // b: [E,I] per-gate, [E] per-expert, [1] per-layer and global; dense [I] or [1]
  std::vector<float> scale;  // α, same shape; empty when the input is constant or the layer dense
  std::int64_t expert_stride = 0;  // elements from one expert's parameters to the next
  std::int64_t gate_stride = 0;    // elements from one gate unit's to the next: 0 or 1
  double bound = 1.0;              // U
  std::string origin;              // which tensors, for `info`: "kappa_bias [8,384]"

  bool empty() const { return bias.empty(); }  // κ = 1, or opened without values
  KappaView view() const;                      // for the kernels
};

// One weight of the config: which tensor plays which part.
struct WeightRole {
  std::string name;                    // "transformer.h.3.mlp.experts.gate_proj"
  std::vector<std::int64_t> shape;     // as the config demands; [steps, L] lambdas as found
  const TensorInfo* tensor = nullptr;  // nullptr: absent and optional
};

struct LayerPlan {
  bool moe = false;
  bool kappa = false;
  bool value_embedding = false;
  std::int64_t window = 0;
  KappaParameters kappa_parameters;  // empty: κ = 1
};

struct Model {
  CheckpointFiles files;
  ModelConfig config;
  std::unique_ptr<TensorFile> tensors;
  std::vector<WeightRole> weights;           // every role of the config, in running order
  std::vector<LayerPlan> layers;             // [L]
  std::string config_sha256;                 // of the model_config document
  std::string directory_sha256;              // of the tensor directory
  std::string granularity_reason;            // why this κ granularity, for `info`
  std::vector<std::string> unknown_tensors;  // neither of the config nor known leftovers
  std::vector<std::string> notes;            // what was done to read the file, for -v

  std::string name() const;  // of the folder, without links; "" in the root folder
  // The tensor of a role, by its name; nullptr when absent and optional. Unknown role: our mistake.
  const TensorInfo* tensor(std::string_view role) const;
};

// Opens a folder or a model_NNNNNN.pt and checks every tensor against the config: all missing
// tensors and all wrong shapes or types together (damaged). Reads the directory and κ parameters
// (`kappa_values` false, for `info`: the directory only).
Model open_model(const std::filesystem::path& path, std::optional<std::int64_t> step = std::nullopt,
                 bool kappa_values = true);

// Router–expert alignment of one MoE layer (SPEC §5), from the weights, one expert at a time, in
// double. alignment_mean[e] = cos(w_g[e], mean column of gate_proj[e]); alignment_energy[e] =
// Σⱼ cosⱼ‖cⱼ‖² / Σⱼ‖cⱼ‖². Both [E]; NaN where a norm is 0.
struct Alignment {
  std::vector<float> mean;
  std::vector<float> energy;
};
Alignment router_alignment(const Model& model, std::int64_t layer);

}  // namespace kappascope
