// An opened model: what it is, its tensors by role, κ parameters. No weight is read but the small κ
// ones; no Torch. The engine turns it into something that runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint/folder.h"
#include "core/checkpoint/json.h"
#include "core/checkpoint/tensor.h"
#include "core/model/architecture.h"
#include "core/model/weights.h"

namespace kappascope {

inline constexpr std::uint64_t kMetaLimit = 16u << 20;  // bytes of a meta_*.json or config.json

// κ parameters of one layer as float32, as they are stored: one slot after the other, each in its
// granularity (older outer products are multiplied out to per-gate). A run plan makes of them those
// that act (core/engine/run_plan.h).
struct KappaParameters {
  std::vector<float> bias;         // b: per slot [E,I], [E] or [1]; dense [I] or [1]; empty: none
  std::vector<float> scale;        // α, likewise; empty: none
  std::int64_t bias_slots = 1;     // how many slots each holds, ≥ 1
  std::int64_t scale_slots = 1;    //
  std::int64_t slots = 0;          // length of the slot axis in the file; 0: it has none
  std::int64_t expert_stride = 0;  // within a slot, from one expert's parameters to the next
  std::int64_t gate_stride = 0;    // from one gate unit's to the next: 0 or 1
  std::string origin;              // which tensors, for `info`: "kappa_bias [8,384]"

  bool empty() const { return bias.empty() && scale.empty(); }  // none, or opened without values
};

// How a checkpoint that can be read in several ways is read; what is not said is found out.
struct KappaChoices {
  std::optional<KappaSide> side;        // --kappa-slot; unsaid: by the name of the folder
  std::optional<SftKappa> sft;          // --sft-kappa; unsaid: residual
  std::optional<KappaFormula> formula;  // --kappa-formula; unsaid: by the marks of the date
};

struct OpenOptions {
  std::optional<std::int64_t> step;  // the newest unless given
  KappaChoices kappa;
  bool kappa_values = true;  // false, for `info`: the directory only
};

struct Model {
  CheckpointFiles files;
  Architecture architecture;
  std::unique_ptr<TensorFile> tensors;
  WeightTable weights;
  std::vector<KappaParameters> kappa;        // [L] empty: κ = 1
  Json document;                             // model_config as found, for the trace's meta
  std::string config_sha256;                 // of that document
  std::string directory_sha256;              // of the tensor directory
  std::vector<std::string> unknown_fields;   // of model_config, neither used nor known
  std::vector<std::string> unknown_tensors;  // neither of the model nor known leftovers
  // Which layout was found and why, one line each: granularity, slots, κ router, formula …
  std::vector<std::string> findings;
  std::vector<std::string> warnings;  // what may have been read otherwise than it was trained
  std::vector<std::string> notes;     // what was done to read the file, for -v

  // Of the folder, without links; of the repository in a hub cache; "" in the root folder.
  std::string name() const;
};

// Opens a folder or a model_NNNNNN.pt and checks every tensor against the configuration: all
// missing tensors and all wrong shapes or types together (damaged). Reads the directory and κ
// parameters.
Model open_model(const std::filesystem::path& path, const OpenOptions& options = {});

// Router–expert alignment of one MoE layer (SPEC §5), from the weights, one expert at a time, in
// double. alignment_mean[e] = cos(w_g[e], mean column of gate_proj[e]); alignment_energy[e] =
// Σⱼ cosⱼ‖cⱼ‖² / Σⱼ‖cⱼ‖². Both [E]; NaN where a norm is 0.
struct Alignment {
  std::vector<float> mean;
  std::vector<float> energy;
};
Alignment router_alignment(const Model& model, std::int64_t layer);

}  // namespace kappascope
