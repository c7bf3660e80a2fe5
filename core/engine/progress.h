// How long work tells of itself and hears that it should stop.
#pragma once

#include <cstdint>
#include <string_view>

namespace kappascope {

// Called from the thread that works, often; an implementation must be cheap and must not throw.
class Progress {
 public:
  virtual ~Progress() = default;
  // `done` of `total` steps of `stage` ("load", "prefill", "write"); units are the stage's own
  // (bytes, tokens × layers). Returns false when the work should stop: the caller then unwinds
  // with ExitCode::interrupted and leaves nothing half-written.
  virtual bool update(std::string_view stage, std::uint64_t done, std::uint64_t total) noexcept = 0;
};

// For callers that neither watch nor cancel.
class NoProgress final : public Progress {
 public:
  bool update(std::string_view, std::uint64_t, std::uint64_t) noexcept override { return true; }
};

}  // namespace kappascope
