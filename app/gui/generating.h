// A text that a model goes on with while the window shows it: the job that generates and the UI
// thread share one.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "app/generation.h"
#include "app/gui/documents.h"

namespace kappascope::gui {

// How far it is.
struct GeneratingStatus {
  std::int64_t prompt = 0, generated = 0;  // tokens; 0 of the prompt: it is being run
  double per_second = 0;                   // generated tokens; 0: not known yet
  bool stopping = false;
  Ended ended = Ended::not_yet;
};

class Generating {
 public:
  // Traces are written into `folder`, each in a folder of its own. `wake`: called from the job when
  // there is something to take().
  Generating(std::filesystem::path folder, std::function<void()> wake)
      : folder_(std::move(folder)), wake_(std::move(wake)) {}
  ~Generating();  // removes the trace that nobody took
  Generating(const Generating&) = delete;
  Generating& operator=(const Generating&) = delete;

  // --- in a job ---
  struct Start {
    std::shared_ptr<const Model> model;
    std::shared_ptr<const Tokenizer> tokenizer;
    std::shared_ptr<EngineModel> loaded;
    RunPlan plan;
    TraceSettings settings;
    GenerationRules rules;
  };
  // Runs the text, then one token after the other; a trace of it is made as often as one is wanted,
  // and at the end, also before what stopped it is thrown.
  void begin(Start start, TokenizedText text, Progress& progress);
  // After begin() or go_on() has ended: up to `tokens` more.
  void go_on(std::int64_t tokens, Progress& progress);

  // --- on the UI thread ---
  void begin_again();                    // before a job of go_on()
  void stop() { stop_ = true; }          // after the token that is being computed
  void want_trace() { wanted_ = true; }  // the last one is on the screen
  bool has_trace() const;
  OpenTrace take();  // its path and trace; none: its trace is null
  GeneratingStatus status() const;
  // It ended, not within a token, and its calls were of these weights.
  bool whole(const std::shared_ptr<EngineModel>& loaded) const;
  // Of a whole one: go_on() would give what `rules` ask for.
  bool can_go_on(const GenerationRules& rules) const;

 private:
  using Clock = std::chrono::steady_clock;
  void generate(Progress& progress);
  void note(Clock::time_point start, std::int64_t before);
  void make_trace();
  void keep_what_came() noexcept;

  const std::filesystem::path folder_;
  const std::function<void()> wake_;
  std::atomic<bool> stop_{false}, wanted_{true};
  mutable std::mutex mutex_;
  OpenTrace made_;  // not taken yet
  GeneratingStatus status_;
  bool whole_ = false;  // it ended, and not within a token

  // Of the job alone; once it is whole_ of the UI thread, too.
  Start start_;
  std::optional<Generation> generation_;
  std::int64_t traces_ = 0, in_trace_ = -1;  // made so far; tokens of the newest
  Ended ended_in_trace_ = Ended::not_yet;
  Clock::time_point next_trace_;  // not before
};

}  // namespace kappascope::gui
