// One model in training: its folder, its steps, what is written and shown.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/cli/interrupts.h"
#include "app/cli/output_folder.h"
#include "app/cli/terminal.h"
#include "core/engine/ranks.h"
#include "core/engine/training.h"
#include "core/model/model.h"
#include "core/train/checkpoint.h"
#include "core/train/corpus.h"
#include "core/train/train_log.h"

namespace kappascope {

// What all models of a run share.
struct TrainingPlace {
  OutputFolder* folder;        // of the run; nullptr: rank 0 writes
  std::filesystem::path path;  // that folder
  Ranks* ranks;                // nullptr: this process is alone
  int rank_here;               // of those on this machine
  Interrupts& interrupts;
  Terminal& terminal;
  Corpus& corpus;
  std::vector<std::int32_t> token_bytes;  // [V] bytes of a token; 0: special, it is not counted
  std::string device;                     // as asked for; "cpu" once auto has come to that
  int threads = 0;
};

// Before anything is written or said: throws (gpu) where a GPU that was named cannot be used. One
// that nobody named is tried when training starts.
void require_device(const std::string& device, int rank_here);

// Renames staged files into `folder`, in this order, also when the user asked to stop.
void put_in_place(OutputFolder& staging, Interrupts& interrupts,
                  const std::filesystem::path& folder, const std::vector<std::string>& names);

class TrainingRun {
 public:
  // `folder`: of this model, with a checkpoint that a run can go on from.
  TrainingRun(TrainingPlace& place, std::filesystem::path folder, std::string label);

  bool done() const { return at_end() && !owes_evaluation(); }
  // To the end. Throws Error; when the run was interrupted or another rank has ended, after what
  // was reached has been saved.
  void run();

 private:
  std::unique_ptr<Trainer> start(Progress& progress);
  bool at_end() const { return step_ >= settings_.steps(); }
  // An evaluation of the step that was reached is due, and the log has none.
  bool owes_evaluation() const;
  void begin();
  void run_steps();
  void require_one_step() const;
  void stop_when_any_was_asked() const;
  void take_step();
  void evaluate();
  std::vector<float> held_out_losses(std::int64_t rows);
  void save();
  void show();
  void remove_old_moments() const;
  std::string pace() const;  // ", " and tokens a second, and the time that is left; "" at first

  TrainingPlace& place_;
  std::filesystem::path folder_;
  std::string label_;  // in front of messages
  std::int64_t step_;  // steps done
  TrainSettings settings_;
  Model model_;
  std::unique_ptr<Trainer> trainer_;
  std::optional<TrainLog> log_;
  std::int64_t saved_ = 0;      // the step that is on the disk
  std::int64_t evaluated_ = 0;  // the newest step that the log has an evaluation of
  std::int64_t began_ = 0;      // the step that this process began with
  std::chrono::steady_clock::time_point start_;
  Progressed progressed_;
};

}  // namespace kappascope
