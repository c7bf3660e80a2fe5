// Works of training: a whole step, and the derivatives of κ-SwiGLU by our kernel and by Torch's own
// operations.
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "core/engine/training.h"
#include "core/forward/kappa_function.h"
#include "core/model/model.h"
#include "tests/bench/works.h"

namespace kappascope::bench {
namespace {

// "train": a step of AdamW on "batch" sequences of "length" made-up ids.
class TrainWork final : public Work {
 public:
  explicit TrainWork(const Json& arguments)
      : model_(open_model(arguments.at("model").get<std::string>())),
        length_(arguments.at("length")) {
    const std::int64_t batch = arguments.at("batch");
    for (std::int64_t i = 0; i < batch * length_; ++i) {
      ids_.push_back(std::int32_t((i * 7919 + i / 3) % model_.architecture.vocab));
      targets_.push_back(std::int32_t(((i + 1) * 7919 + (i + 1) / 3) % model_.architecture.vocab));
    }
    TrainingRules rules;
    rules.threads = arguments.value("threads", 2);
    trainer_ = start_training(model_, rules, progress_);
  }

  Json run(const Json&) override {
    constexpr double kRate = 1e-5;
    const TrainingStep step{.rates = {kRate, 0, kRate, kRate, kRate, kRate, kRate},
                            .bound = 4,
                            .balance = 1e-3,
                            .router_z = 1e-5,
                            .kappa_l2 = 0.01};
    StepReport report;
    const double begin = seconds_now();
    const Failure failure = trainer_->step({ids_, targets_, length_}, step, progress_, report);
    if (failure) { throw Error(failure); }
    return {{"seconds", seconds_now() - begin}, {"loss", report.loss}};
  }

 private:
  Model model_;
  std::int64_t length_;
  std::vector<std::int32_t> ids_, targets_;
  NoProgress progress_;
  std::unique_ptr<Trainer> trainer_;
};

at::Tensor by_formula(const at::Tensor& z, const at::Tensor& up, const at::Tensor& score,
                      const at::Tensor& bias, const at::Tensor& scale, double log_bound) {
  const at::Tensor kappa = (log_bound * (scale * score.unsqueeze(1) + bias).tanh()).exp();
  return z * (kappa * z).sigmoid() * up;
}

// "backward": derivatives of κ-SwiGLU of [rows,gates] by all that it reads; "ours", or those of the
// formula by Torch.
class BackwardWork final : public Work {
 public:
  explicit BackwardWork(const Json& arguments) : ours_(arguments.at("ours")) {
    at::set_num_threads(arguments.value("threads", 1));
    at::manual_seed(3);
    const std::int64_t rows = arguments.at("rows"), gates = arguments.at("gates");
    gradient_ = at::randn({rows, gates});
    inputs_ = {at::randn({rows, gates}), at::randn({rows, gates}), at::randn({rows}),
               at::randn({gates}), at::randn({gates})};
    for (at::Tensor& input : inputs_) { input.set_requires_grad(true); }
  }

  Json run(const Json&) override {
    const auto& [z, up, score, bias, scale] = inputs_;
    const double log_bound = std::log(4.0);
    const at::Tensor hidden = ours_ ? kappa_swiglu(z, up, score, bias, scale, log_bound, false)
                                    : by_formula(z, up, score, bias, scale, log_bound);
    const double begin = seconds_now();
    const auto found =
        torch::autograd::grad({hidden}, {inputs_.begin(), inputs_.end()}, {gradient_});
    const double seconds = seconds_now() - begin;
    Json norms = Json::array();
    for (const at::Tensor& part : found) { norms.push_back(part.norm().item<double>()); }
    return {{"seconds", seconds}, {"norms", std::move(norms)}};
  }

 private:
  bool ours_;
  at::Tensor gradient_;
  std::array<at::Tensor, 5> inputs_;  // z, up, s, b, α
};

}  // namespace

void add_training_works(std::map<std::string, Maker>& makers) {
  makers["train"] = [](const Json& a) { return std::make_unique<TrainWork>(a); };
  makers["backward"] = [](const Json& a) { return std::make_unique<BackwardWork>(a); };
}

}  // namespace kappascope::bench
