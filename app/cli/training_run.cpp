#include "app/cli/training_run.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <system_error>
#include <utility>

#include "app/cli/command_line.h"
#include "app/device.h"
#include "core/trace/output_file.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kRowsAtOnce = 8;  // of an evaluation

// Asks the trainer to stop when the user does; steps have their own line.
class StopWhenAsked final : public Progress {
 public:
  explicit StopWhenAsked(const Interrupts& interrupts) : interrupts_(interrupts) {}
  bool update(Stage, std::uint64_t, std::uint64_t) noexcept override {
    return !interrupts_.requested();
  }

 private:
  const Interrupts& interrupts_;
};

// Layers of a model in training do not take turns in the GPU's memory.
void throw_if(Failure failure) {
  if (failure.remedy == Remedy::stream_or_use_cpu) { failure.remedy = Remedy::use_cpu; }
  if (failure) { throw Error(failure); }
}

template <typename... Numbers>
std::string formatted(const char* format, Numbers... numbers) {
  char text[160];
  std::snprintf(text, sizeof text, format, numbers...);
  return text;
}

// The device asked for; where only a kind is, of several ranks of a machine each has its own GPU.
LoadOptions training_device(const ComputeOptions& compute, int rank_here) {
  LoadOptions options = compute.load_options();
  const bool numbered = compute.device.find(':') != std::string::npos;
  if (options.device != ComputeDevice::cpu && !numbered) { options.device_index = rank_here; }
  return options;
}

std::int64_t resumable(const fs::path& folder) {
  const std::optional<std::int64_t> step = newest_resumable(folder);
  require(step.has_value(), ExitCode::io, {.file = folder.native()},
          "expected model_NNNNNN.pt, meta_NNNNNN.json and optim_NNNNNN_rank0.pt of one step, ",
          "found none");
  return *step;
}

}  // namespace

void put_in_place(OutputFolder& staging, Interrupts& interrupts, const fs::path& folder,
                  const std::vector<std::string>& names) {
  const auto held = interrupts.hold();
  for (const std::string& name : names) {
    std::error_code error;
    fs::create_directories((folder / name).parent_path(), error);
    require(!error, ExitCode::io, {.file = (folder / name).parent_path().native()},
            "cannot make the folder: ", error.message());
    fs::rename(staging.staged(fs::path(name).filename().string()), folder / name, error);
    require(!error, ExitCode::io, {.file = (folder / name).native()},
            "cannot put the finished file in its place: ", error.message());
    sync_path((folder / name).parent_path());
  }
}

void require_device(const std::string& device, int rank_here) {
  const ComputeOptions compute{.device = device};
  if (compute.automatic() || device == "cpu") { return; }
  const LoadOptions options = training_device(compute, rank_here);
  throw_if(engine(options.device).check_device(options));
}

TrainingRun::TrainingRun(TrainingPlace& place, fs::path folder, std::string label)
    : place_(place),
      folder_(std::move(folder)),
      label_(std::move(label)),
      step_(resumable(folder_)),
      settings_(settings_of(folder_, step_)),
      model_(open_model(folder_, {.step = step_})),
      saved_(step_),
      evaluated_(last_evaluation(folder_, step_)),
      began_(step_),
      progressed_(progress_of(folder_, step_)) {
  require(
      settings_.stream_sha256 == place_.corpus.sha256(), ExitCode::unsupported,
      {.file = (folder_ / CheckpointNames(step_).meta).native()},
      "the texts or the tokenizer are not those that this run was started with; expected tokens "
      "of SHA-256 ",
      settings_.stream_sha256, ", found ", place_.corpus.sha256(),
      "; put the files of user_config.kappascope_train.texts back as they were, or start "
      "another run with --text and -o");
}

bool TrainingRun::owes_evaluation() const {
  return step_ > 0 && evaluated_ < step_ && (step_ % settings_.evaluate_every == 0 || at_end());
}

void TrainingRun::run() {
  begin();
  try {
    run_steps();
  } catch (const Error& error) {
    const bool lost = place_.ranks && place_.ranks->lost_another();
    if (error.code() != ExitCode::interrupted && !lost) { throw; }
    save();
    place_.terminal.erase();
    const std::string reached = join_words("step ", step_, " of ", settings_.steps());
    throw Error(error.code(),
                join_words(!lost ? join_words("interrupted at ", reached, ", which is saved")
                           : place_.folder ? join_words(error.what(), "; ", reached, " is saved")
                                           : error.what(),
                           "; `kappascope train --resume ", place_.path.string(),
                           place_.device != "auto" ? " --device " + place_.device : "",
                           place_.threads > 0 ? join_words(" --threads ", place_.threads) : "",
                           place_.ranks ? "` under torchrun or srun goes on" : "` goes on"));
  }
  place_.terminal.erase();
}

// Where no device was named, the CPU serves when the GPU does not, and a line says why.
std::unique_ptr<Trainer> TrainingRun::start(Progress& progress) {
  const ComputeOptions compute{.device = place_.device, .threads = place_.threads};
  const LoadOptions load = training_device(compute, place_.rank_here);
  TrainingRules rules;
  rules.threads = place_.threads;
  rules.total_budget = settings_.total_budget();
  rules.ranks = place_.ranks;
  rules.device = load.device;
  rules.device_index = load.device_index;
  std::string reason = compute.automatic() ? unused_gpu() : "";
  if (compute.automatic() && load.device != ComputeDevice::cpu) {
    try {
      return start_training(model_, rules, progress);
    } catch (const Error& error) {
      // Ranks on different kinds of device would wait for the slowest without a word.
      if (error.code() != ExitCode::gpu || place_.ranks) { throw; }
      reason = error.failure().message;
      rules.device = ComputeDevice::cpu;
    }
  }
  if (!reason.empty()) {
    place_.terminal.warn("training on the CPU: " + reason);
    place_.device = "cpu";
  }
  return start_training(model_, rules, progress);
}

void TrainingRun::begin() {
  StopWhenAsked progress(place_.interrupts);
  trainer_ = start(progress);
  read_moments(folder_, step_, trainer_->tensors());
  trainer_->set_steps(step_);
  require_one_step();
  if (place_.folder) {
    log_.emplace(folder_, place_.folder->staged(kTrainLog), settings_, step_);
    remove_old_moments();  // that a run which was killed has left
  }
  start_ = std::chrono::steady_clock::now();
}

// Every rank reads the files of the run.
void TrainingRun::require_one_step() const {
  if (!place_.ranks) { return; }
  std::vector<std::int64_t> steps(std::size_t(place_.ranks->size()));
  steps[place_.ranks->rank()] = step_;
  require_exchanged(place_.ranks->sum(std::span(steps)));
  for (std::size_t rank = 0; rank < steps.size(); ++rank) {
    require(steps[rank] == steps[0], ExitCode::io, {.file = folder_.native()},
            "expected one folder that all ranks share; rank 0 finds step ", steps[0],
            " in it, rank ", rank, " step ", steps[rank]);
  }
}

void TrainingRun::run_steps() {
  while (!done()) {
    if (owes_evaluation()) {
      evaluate();
      saved_ = saved_ == step_ ? -1 : saved_;  // its meta says what was found
    } else {
      take_step();
      if (owes_evaluation()) { evaluate(); }
    }
    if (step_ % settings_.save_every == 0 || at_end() || saved_ < 0) { save(); }
    show();
  }
}

// Ranks stop together, between two steps: what one of them was asked all of them do.
void TrainingRun::stop_when_any_was_asked() const {
  if (!place_.ranks) { return; }
  std::int64_t asked = place_.interrupts.requested() ? 1 : 0;
  require_exchanged(place_.ranks->sum(std::span(&asked, 1)));
  require(asked == 0, ExitCode::interrupted, {}, "interrupted");
}

void TrainingRun::take_step() {
  stop_when_any_was_asked();
  StopWhenAsked stop(place_.interrupts);
  NoProgress go;
  Progress& progress = place_.ranks ? static_cast<Progress&>(go) : stop;
  const Ranks* const ranks = place_.ranks;
  const Sequences batch =
      place_.corpus.training_batch(step_, settings_.batch, settings_.call(),
                                   ranks ? ranks->rank() : 0, ranks ? ranks->size() : 1);
  const TrainingStep step = training_step(settings_, step_);
  const std::int64_t calls = settings_.batch / settings_.call();
  StepReport report;
  Failure failure =
      trainer_->step({batch.ids, batch.targets, settings_.context, calls}, step, progress, report);
  const bool lost = ranks && ranks->lost_another();
  if (failure && failure.code != ExitCode::interrupted && !lost) {
    failure.message = join_words("step ", step_ + 1, ": ", failure.message);
  }
  throw_if(failure);
  ++step_;
  if (settings_.saves_bfloat16(step_)) { round_to_bfloat16(trainer_->tensors()); }
  progressed_.bits_per_byte.reset();  // that of an earlier step
  progressed_.train_loss = report.loss;
  if (log_) { log_->add_step(step_, settings_, step, report); }
}

// −ln p of every target of the first rows that are held out; ranks take turns with the calls.
std::vector<float> TrainingRun::held_out_losses(std::int64_t rows) {
  StopWhenAsked stop(place_.interrupts);
  NoProgress go;
  Progress& progress = place_.ranks ? static_cast<Progress&>(go) : stop;
  const TrainingStep step = training_step(settings_, step_);
  std::vector<float> all(std::size_t(rows * settings_.context)), nll;
  for (std::int64_t first = 0; first < rows; first += kRowsAtOnce) {
    const std::int64_t call = first / kRowsAtOnce;
    if (place_.ranks && call % place_.ranks->size() != place_.ranks->rank()) { continue; }
    const Sequences batch =
        place_.corpus.held_out_batch(first, std::min(kRowsAtOnce, rows - first));
    throw_if(
        trainer_->evaluate({batch.ids, batch.targets, settings_.context}, step, progress, nll));
    std::copy(nll.begin(), nll.end(), all.begin() + first * settings_.context);
  }
  if (place_.ranks) { require_exchanged(place_.ranks->sum(std::span(all))); }
  return all;
}

void TrainingRun::evaluate() {
  const std::int64_t rows = std::min(place_.corpus.held_out_rows(), settings_.evaluate_rows);
  const std::vector<float> nll = held_out_losses(rows);
  const std::vector<std::int32_t> targets = place_.corpus.held_out_batch(0, rows).targets;
  double nats = 0, counted_nats = 0;
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < nll.size(); ++i) {
    const std::int32_t length = place_.token_bytes[targets[i]];
    nats += nll[i];
    counted_nats += length > 0 ? nll[i] : 0;
    bytes += length;
  }
  const double loss = nats / double(nll.size());
  const double bits = counted_nats / (std::numbers::ln2 * double(std::max<std::int64_t>(1, bytes)));
  progressed_.bits_per_byte = bits;
  evaluated_ = step_;
  if (log_) { log_->add_evaluation(step_, loss, bits); }
  place_.terminal.say(
      join_words(label_, "step ", step_, " of ", settings_.steps(),
                 formatted(": loss %.3f, held out %.3f nats a token, %.3f bits a byte",
                           progressed_.train_loss, loss, bits),
                 pace()));
}

void TrainingRun::save() {
  if (saved_ == step_) { return; }
  if (place_.folder) {
    const CheckpointNames names(step_);
    place_.folder->clear();
    write_step(place_.folder->staged(names.model).parent_path(), settings_, step_, progressed_,
               model_, trainer_->tensors());
    put_in_place(*place_.folder, place_.interrupts, folder_, names.all());
  }
  saved_ = step_;
  if (place_.folder) { remove_old_moments(); }
}

// The moments of other steps have done their work, and are twice as large as the model.
void TrainingRun::remove_old_moments() const {
  std::error_code ignored;
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("optim_") && name.ends_with("_rank0.pt") &&
        name != CheckpointNames(saved_).moments) {
      old.push_back(entry.path());
    }
  }
  for (const fs::path& file : old) { fs::remove(file, ignored); }
}

std::string TrainingRun::pace() const {
  using Seconds = std::chrono::duration<double>;
  const double seconds = Seconds(std::chrono::steady_clock::now() - start_).count();
  const double steps = double(step_ - began_);
  if (steps <= 0) { return ""; }
  const double tokens = steps * double(settings_.batch * settings_.context);
  std::string text = join_words(", ", rate_text(tokens, std::max(seconds, 1e-9)));
  const auto left = double(settings_.steps() - step_);
  if (left > 0) { text += join_words(", ", duration_text(seconds / steps * left), " left"); }
  return text;
}

void TrainingRun::show() {
  place_.terminal.show(join_words(label_, "step ", step_, " of ", settings_.steps(),
                                  formatted(": loss %.3f", progressed_.train_loss), pace()),
                       false);
}

}  // namespace kappascope
