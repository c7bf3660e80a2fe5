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

void throw_if(const Failure& failure) {
  if (failure) { throw Error(failure); }
}

// "1:02:03", "4:05"
std::string clock_text(double seconds) {
  const auto whole = std::int64_t(seconds);
  char text[64];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", static_cast<long long>(whole / 3600),
                  static_cast<long long>(whole / 60 % 60), static_cast<long long>(whole % 60));
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld", static_cast<long long>(whole / 60),
                  static_cast<long long>(whole % 60));
  }
  return text;
}

template <typename... Numbers>
std::string formatted(const char* format, Numbers... numbers) {
  char text[160];
  std::snprintf(text, sizeof text, format, numbers...);
  return text;
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
  }
}

TrainingRun::TrainingRun(TrainingPlace& place, fs::path folder, std::string label)
    : place_(place),
      folder_(std::move(folder)),
      label_(std::move(label)),
      step_(resumable(folder_)),
      settings_(settings_of(folder_, step_)),
      model_(open_model(folder_, {.step = step_})),
      saved_(step_),
      began_(step_) {
  require(
      settings_.stream_sha256 == place_.corpus.sha256(), ExitCode::unsupported,
      {.file = (folder_ / CheckpointNames(step_).meta).native()},
      "the texts or the tokenizer are not those that this run was started with; expected tokens "
      "of SHA-256 ",
      settings_.stream_sha256, ", found ", place_.corpus.sha256(),
      "; put the files of user_config.kappascope_train.texts back as they were, or start "
      "another run with --text and -o");
}

void TrainingRun::run() {
  StopWhenAsked progress(place_.interrupts);
  trainer_ = start(progress);
  read_moments(folder_, step_, trainer_->tensors());
  trainer_->set_steps(step_);
  log_.emplace(folder_, place_.folder.staged(kTrainLog), settings_, step_);
  remove_old_moments();  // that a run which was killed has left
  start_ = std::chrono::steady_clock::now();
  try {
    while (!done()) {
      take_step();
      if (step_ % settings_.evaluate_every == 0 || done()) { evaluate(); }
      if (step_ % settings_.save_every == 0 || done()) { save(); }
      show();
    }
  } catch (const Error& error) {
    if (error.code() != ExitCode::interrupted) { throw; }
    save();
    place_.terminal.erase();
    throw Error(
        ExitCode::interrupted,
        join_words("interrupted at step ", step_, " of ", settings_.steps(),
                   ", which is saved; `kappascope train --resume ", place_.folder.path().string(),
                   place_.device != "auto" ? " --device " + place_.device : "",
                   place_.threads > 0 ? join_words(" --threads ", place_.threads) : "",
                   "` goes on"));
  }
  place_.terminal.erase();
}

// Where no device was named, the CPU serves when the GPU does not, and a line says why.
std::unique_ptr<Trainer> TrainingRun::start(Progress& progress) {
  const ComputeOptions compute{.device = place_.device, .threads = place_.threads};
  const LoadOptions load = compute.load_options();
  TrainingRules rules;
  rules.threads = place_.threads;
  rules.total_budget = settings_.total_budget();
  rules.device = load.device;
  rules.device_index = load.device_index;
  std::string reason = compute.automatic() ? unused_gpu() : "";
  if (compute.automatic() && load.device != ComputeDevice::cpu) {
    try {
      return start_training(model_, rules, progress);
    } catch (const Error& error) {
      if (error.code() != ExitCode::gpu) { throw; }
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

void TrainingRun::take_step() {
  StopWhenAsked progress(place_.interrupts);
  const Sequences batch = place_.corpus.training_batch(step_, settings_.batch);
  const TrainingStep step = training_step(settings_, step_);
  StepReport report;
  Failure failure =
      trainer_->step({batch.ids, batch.targets, settings_.context}, step, progress, report);
  if (failure && failure.code != ExitCode::interrupted) {
    failure.message = join_words("step ", step_ + 1, ": ", failure.message);
  }
  throw_if(failure);
  ++step_;
  if (settings_.saves_bfloat16(step_)) { round_to_bfloat16(trainer_->tensors()); }
  progressed_.bits_per_byte.reset();  // that of an earlier step
  progressed_.train_loss = report.loss;
  log_->add_step(step_, settings_, step, report);
}

void TrainingRun::evaluate() {
  StopWhenAsked progress(place_.interrupts);
  const Corpus& corpus = place_.corpus;
  const std::int64_t rows = std::min(corpus.held_out_rows(), settings_.evaluate_rows);
  const TrainingStep step = training_step(settings_, step_);
  double nats = 0, counted_nats = 0;
  std::int64_t tokens = 0, bytes = 0;
  std::vector<float> nll;
  for (std::int64_t first = 0; first < rows; first += kRowsAtOnce) {
    const Sequences batch = corpus.held_out_batch(first, std::min(kRowsAtOnce, rows - first));
    throw_if(
        trainer_->evaluate({batch.ids, batch.targets, settings_.context}, step, progress, nll));
    for (std::size_t i = 0; i < nll.size(); ++i) {
      const std::int32_t length = place_.token_bytes[batch.targets[i]];
      nats += nll[i];
      counted_nats += length > 0 ? nll[i] : 0;
      bytes += length;
    }
    tokens += std::ssize(nll);
  }
  const double loss = nats / double(tokens);
  const double bits = counted_nats / (std::numbers::ln2 * double(std::max<std::int64_t>(1, bytes)));
  progressed_.bits_per_byte = bits;
  log_->add_evaluation(step_, loss, bits);
  place_.terminal.say(
      join_words(label_, "step ", step_, " of ", settings_.steps(),
                 formatted(": loss %.3f, held out %.3f nats a token, %.3f bits a byte, ",
                           progressed_.train_loss, loss, bits),
                 pace()));
}

void TrainingRun::save() {
  if (saved_ == step_) { return; }
  const CheckpointNames names(step_);
  place_.folder.clear();
  write_step(place_.folder.staged(names.model).parent_path(), settings_, step_, progressed_, model_,
             trainer_->tensors());
  put_in_place(place_.folder, place_.interrupts, folder_, names.all());
  saved_ = step_;
  remove_old_moments();
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
  const double tokens = steps * double(settings_.batch * settings_.context);
  const double left = seconds / steps * double(settings_.steps() - step_);
  return join_words(formatted("%.0f tokens/s, ", tokens / std::max(seconds, 1e-9)),
                    clock_text(left), " left");
}

void TrainingRun::show() {
  place_.terminal.show(join_words(label_, "step ", step_, " of ", settings_.steps(),
                                  formatted(": loss %.3f, ", progressed_.train_loss), pace()),
                       false);
}

}  // namespace kappascope
