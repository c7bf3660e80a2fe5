#include "app/gui/generating.h"

#include <algorithm>
#include <utility>

#include "app/run_text.h"
#include "core/trace/npz.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

// Traces take at most so much of the time, each being written anew.
constexpr int kShareOfTraces = 5;
constexpr std::chrono::milliseconds kLeastPause(60);

// Hears a cancelled job, and says how many tokens there are.
class StepProgress final : public Progress {
 public:
  StepProgress(Progress& progress, std::int64_t done, std::int64_t all)
      : progress_(progress), done_(std::uint64_t(done)), all_(std::uint64_t(all)) {}
  bool update(Stage, std::uint64_t, std::uint64_t) noexcept override {
    return progress_.update(Stage::generate, done_, all_);
  }

 private:
  Progress& progress_;
  const std::uint64_t done_, all_;
};

}  // namespace

Generating::~Generating() {
  if (!made_.path.empty()) { remove_run(made_.path); }
}

void Generating::begin(Start start, TokenizedText text, Progress& progress) {
  start_ = std::move(start);
  const std::int64_t tokens = std::ssize(text.tokens);
  generation_.emplace(*start_.model, start_.plan, *start_.loaded, start_.tokenizer.get(),
                      std::move(text), start_.rules, start_.settings.layers);
  TokenProgress of_prompt(progress, std::uint64_t(tokens));
  of_prompt.begin_call(std::uint64_t(tokens));
  generation_->run_prompt(of_prompt);
  generate(progress);
}

void Generating::go_on(std::int64_t tokens, Progress& progress) {
  generation_->go_on(tokens);
  generate(progress);
}

void Generating::generate(Progress& progress) {
  const std::int64_t before = generation_->generated_tokens();
  const auto start = Clock::now();
  bool written = true;  // what failed was no trace
  try {
    for (bool going = true; going;) {
      note(start, before);
      if (wanted_ && Clock::now() >= next_trace_) {
        written = false;
        make_trace();
        written = true;
      }
      StepProgress step(progress, generation_->generated_tokens() - before,
                        generation_->rules().tokens - before);
      std::string said;
      going = generation_->step(step, said) && !stop_;
    }
  } catch (...) {
    generation_->stop();
    if (written) { keep_what_came(); }
    throw;
  }
  const bool whole = generation_->ended() != Ended::stopped;
  generation_->stop();
  note(start, before);
  {
    const std::scoped_lock lock(mutex_);
    whole_ = whole;
  }
  make_trace();
}

// Before a failure that is to be said, whatever becomes of this.
void Generating::keep_what_came() noexcept {
  try {
    make_trace();
  } catch (...) {}
}

// Where it is, having had `before` tokens at `start`.
void Generating::note(Clock::time_point start, std::int64_t before) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const std::int64_t generated = generation_->generated_tokens();
  const std::scoped_lock lock(mutex_);
  whole_ = false;
  status_.prompt = generation_->prompt_tokens();
  status_.generated = generated;
  status_.per_second = generated > before ? double(generated - before) / seconds : 0;
  status_.ended = generation_->ended();
}

// Nothing, where the newest has all tokens and how they ended.
void Generating::make_trace() {
  const std::int64_t tokens = generation_->prompt_tokens() + generation_->generated_tokens();
  if (tokens == in_trace_ && generation_->ended() == ended_in_trace_) { return; }
  const auto start = Clock::now();
  const fs::path folder = folder_.native() + "-" + std::to_string(++traces_);
  fs::create_directories(folder);
  OpenTrace made;
  try {
    generation_->write_trace(folder / kTraceFile, start_.settings);
    write_model_parameters(folder / kModelFile, *start_.model);
    made = opened_trace(folder / kTraceFile);
  } catch (...) {
    remove_run(folder / kTraceFile);
    throw;
  }
  in_trace_ = tokens;
  ended_in_trace_ = generation_->ended();
  const auto end = Clock::now();
  next_trace_ = end + std::max<Clock::duration>(kLeastPause, (kShareOfTraces - 1) * (end - start));
  wanted_ = false;
  {
    const std::scoped_lock lock(mutex_);
    std::swap(made_, made);
  }
  if (!made.path.empty()) { remove_run(made.path); }
  wake_();
}

void Generating::begin_again() {
  const std::scoped_lock lock(mutex_);
  whole_ = false;
  stop_ = false;
}

bool Generating::has_trace() const {
  const std::scoped_lock lock(mutex_);
  return made_.trace != nullptr;
}

OpenTrace Generating::take() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(made_, {});
}

GeneratingStatus Generating::status() const {
  const std::scoped_lock lock(mutex_);
  GeneratingStatus status = status_;
  status.stopping = stop_;
  return status;
}

bool Generating::whole(const std::shared_ptr<EngineModel>& loaded) const {
  const std::scoped_lock lock(mutex_);
  return whole_ && start_.loaded == loaded;
}

bool Generating::can_go_on(const GenerationRules& rules) const {
  GenerationRules same = rules;
  same.tokens = generation_->rules().tokens;
  return same == generation_->rules() &&
         status().prompt + status().generated < start_.model->architecture.context;
}

}  // namespace kappascope::gui
