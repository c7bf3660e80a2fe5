// How long work reports how far it is and learns that it should stop.
#pragma once

#include <cstdint>
#include <string>

namespace kappascope {

// What a piece of work is doing. Its steps are bytes while loading and opening, tokens × layers in
// a call of the model (tokens in what the user sees), else things done.
enum class Stage : std::uint8_t {
  open,
  read,
  load,
  prefill,
  generate,
  write,
  copy,
  figures,
  fonts
};
const char* stage_title(Stage stage);  // "loading weights"

// Called from the thread that works, often; an implementation must be cheap and must not throw.
class Progress {
 public:
  virtual ~Progress() = default;
  // `done` of `total` steps of `stage`. Returns false when the work should stop: the caller then
  // unwinds with ExitCode::interrupted and leaves nothing half-written.
  virtual bool update(Stage stage, std::uint64_t done, std::uint64_t total) noexcept = 0;
};

// Part `part` of `parts` equal ones of the stage `stage` of larger work: what is reported to it
// moves the larger work on within that part.
class PartOfProgress final : public Progress {
 public:
  PartOfProgress(Progress& whole, Stage stage, std::uint64_t part, std::uint64_t parts)
      : whole_(whole), stage_(stage), part_(part), parts_(parts) {}
  bool update(Stage, std::uint64_t done, std::uint64_t total) noexcept override {
    const std::uint64_t within = total == 0 ? 0 : kSteps * (done < total ? done : total) / total;
    return whole_.update(stage_, part_ * kSteps + within, parts_ * kSteps);
  }

 private:
  static constexpr std::uint64_t kSteps = 1000;  // of a part
  Progress& whole_;
  Stage stage_;
  std::uint64_t part_, parts_;
};

// How long work takes or has left: "0:42", "1:02:03"; seconds ≥ 0, at most ten years.
std::string duration_text(double seconds);

// What an interrupted verb says.
inline constexpr const char* kInterrupted = "interrupted; nothing unfinished is left";
// Reports to `progress`; throws (interrupted) when it says that the work should stop.
void go_on(Progress& progress, Stage stage, std::uint64_t done, std::uint64_t total);

// For callers that neither watch nor cancel.
class NoProgress final : public Progress {
 public:
  bool update(Stage, std::uint64_t, std::uint64_t) noexcept override { return true; }
};

}  // namespace kappascope
