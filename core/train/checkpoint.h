// The files of a training run: model_NNNNNN.pt and meta_NNNNNN.json as SPEC §1.1 says, and
// optim_NNNNNN_rank0.pt with the moments of AdamW, which a run needs to go on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/engine/training.h"
#include "core/model/model.h"
#include "core/train/initial_weights.h"
#include "core/train/settings.h"

namespace kappascope {

struct CheckpointNames {
  std::string model, meta, moments;
  explicit CheckpointNames(std::int64_t step);
  // In the order in which they are to appear: a step without its meta is not there for readers.
  std::vector<std::string> all() const { return {moments, model, meta}; }
};

// Each writes files of `folder` by these names and returns when their bytes are on the disk; the
// files must not exist. Errors: io.

// The start of a run.
void write_start(const std::filesystem::path& folder, const TrainSettings& settings);

// What is known of a run at a step, beside its weights.
struct Progressed {
  double train_loss = 0;                // of the last step, nats a token
  std::optional<double> bits_per_byte;  // held out, where evaluated
};
// Rounds the weights to what write_step writes of them at the last step of a run that saves
// bfloat16, so that what is evaluated is what is saved.
void round_to_bfloat16(std::span<const LearnedTensor> tensors);
// `model`: the one in training, which has the tensors that are not learned.
void write_step(const std::filesystem::path& folder, const TrainSettings& settings,
                std::int64_t step, const Progressed& progressed, const Model& model,
                std::span<const LearnedTensor> tensors);

// The newest step of `folder` that a run can go on from; none: empty.
std::optional<std::int64_t> newest_resumable(const std::filesystem::path& folder);
// The settings in its meta. Errors: damaged, unsupported (no training of ours).
TrainSettings settings_of(const std::filesystem::path& folder, std::int64_t step);
// What its meta says of the run's course.
Progressed progress_of(const std::filesystem::path& folder, std::int64_t step);
// Puts the moments of a step where the trainer has them. Damaged where they do not fit or
// are not finite, or squares below 0.
void read_moments(const std::filesystem::path& folder, std::int64_t step,
                  std::span<const LearnedTensor> tensors);

}  // namespace kappascope
