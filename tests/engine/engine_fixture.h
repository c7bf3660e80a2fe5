// A small synthetic model, its engine, and a probe that keeps all it receives.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "core/engine/engine.h"
#include "core/engine/memory_plan.h"
#include "tests/tools/synthetic.h"

namespace kappascope {

namespace fs = std::filesystem;

// Copies what a call tells.
class Capture : public Probe {
 public:
  explicit Capture(ProbeWants wanted) : wanted_(wanted) {}
  ProbeWants wants() const noexcept override { return wanted_; }
  bool moe(const MoeTap& tap) noexcept override {
    const RoutingView& routing = tap.routing;
    const std::int64_t count = routing.tokens * routing.slots;
    const Assignments& cells = routing.cells;
    expert_index.insert(expert_index.end(), cells.expert, cells.expert + count);
    expert_kept.insert(expert_kept.end(), cells.kept, cells.kept + count);
    if (tap.output) { output.assign(tap.output, tap.output + routing.tokens * tap.width); }
    if (tap.output_norm) { norm.insert(norm.end(), tap.output_norm, tap.output_norm + count); }
    if (tap.gate_stats) {
      for (std::int64_t at = 0; at < count; ++at) {
        sharpness.push_back(tap.gate_stats[at].kz_rms);
      }
      for (std::int64_t at = 0; at < routing.experts * kKappaBins; ++at) {
        counted += tap.kappa_hist[at];
      }
    }
    return true;
  }
  bool lens(const LensTap& tap) noexcept override {
    lens_logprob.insert(lens_logprob.end(), tap.top_logprob, tap.top_logprob + tap.tokens);
    return true;
  }
  bool next_token(const NextTokenTap& tap) noexcept override {
    first_tokens.push_back(tap.first_token);
    nll.insert(nll.end(), tap.nll, tap.nll + tap.tokens);
    if (tap.logits) {
      logits.insert(logits.end(), tap.logits, tap.logits + tap.tokens * tap.vocab);
    }
    return keep_going;
  }

  std::vector<std::int32_t> expert_index;
  std::vector<std::uint8_t> expert_kept;
  std::vector<float> output, norm, nll, logits, sharpness, lens_logprob;
  std::vector<std::int64_t> first_tokens;
  std::int64_t counted = 0;
  bool keep_going = true;

 private:
  ProbeWants wanted_;
};

inline constexpr ProbeWants kLogitsOnly{.next_token = true, .logits = true};
inline constexpr ProbeWants kEverything{.routing = true,
                                        .gate_stats = true,
                                        .gates = true,
                                        .hidden = true,
                                        .next_token = true,
                                        .logits = true,
                                        .lens = true};

class EngineTest : public ::testing::Test {
 protected:
  EngineTest() {
    folder_ = fs::temp_directory_path() / join_words("kappascope-engine-", getpid());
    fs::remove_all(folder_);
  }
  ~EngineTest() override { fs::remove_all(folder_); }

  // Opens and loads a model of `spec`; it lives as long as the test.
  EngineModel& load(const synthetic::ModelSpec& spec) {
    fs::remove_all(folder_);
    synthetic::write_model(folder_, spec);
    loaded_.reset();
    model_ = std::make_unique<Model>(open_model(folder_));
    NoProgress progress;
    const Failure failure = engine().load(*model_, {.threads = 1}, progress, loaded_);
    if (failure) { throw Error(failure); }
    return *loaded_;
  }

  static std::vector<std::int32_t> ids(std::int64_t count, std::int32_t vocab = 256) {
    std::vector<std::int32_t> result;
    for (std::int64_t t = 0; t < count; ++t) {
      result.push_back(std::int32_t(t * 37 + 11) % vocab);
    }
    return result;
  }

  Failure run(EngineModel& model, const ForwardCall& call, Capture& capture,
              const std::vector<Intervention>& interventions = {}) {
    NoProgress progress;
    return model.forward(call, resolve(*model_, interventions), capture, progress);
  }

  fs::path folder_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<EngineModel> loaded_;
};

}  // namespace kappascope
