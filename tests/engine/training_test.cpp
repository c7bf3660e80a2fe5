// Training steps: derivatives against differences of the loss, and the forward pass against the one
// that runs texts.
#include "core/engine/training.h"

#include <algorithm>
#include <cmath>

#include "tests/engine/engine_fixture.h"

namespace kappascope {
namespace {

// Nothing is scaled and nothing dropped: the derivatives are those of one smooth function.
constexpr TrainingRules kWhole{
    .threads = 1, .capacity = 100, .score_gradient = 1, .router_z_input_gradient = 1};
constexpr TrainingStep kStill{.bound = 3, .balance = 0.5, .router_z = 0.01, .kappa_l2 = 0.1};

double total_of(const StepReport& report) {
  return report.loss + kStill.balance * report.balance + kStill.router_z * report.router_z +
         kStill.kappa_l2 * report.kappa_l2;
}

// A model in training with a batch of two sequences.
class Trained {
 public:
  Trained(const Model& model, std::vector<std::int32_t> ids)
      : ids_(std::move(ids)), targets_(ids_.begin() + 1, ids_.end()) {
    targets_.push_back(-1);
    targets_[ids_.size() / 2 - 1] = -1;
    NoProgress progress;
    trainer = start_training(model, kWhole, progress);
  }
  // One with rates of 0, which leaves the weights as they are.
  double loss() {
    NoProgress progress;
    StepReport report;
    const Failure failure = trainer->step(batch(), kStill, progress, report);
    EXPECT_FALSE(failure) << failure.message;
    return total_of(report);
  }
  TrainingBatch batch() const { return {ids_, targets_, std::ssize(ids_) / 2}; }

  std::unique_ptr<Trainer> trainer;

 private:
  std::vector<std::int32_t> ids_, targets_;
};

void move(std::span<float> values, const std::vector<float>& direction, double by) {
  for (std::size_t i = 0; i < values.size(); ++i) { values[i] += float(by * direction[i]); }
}

class Training : public EngineTest {
 protected:
  // Along the derivative of each tensor with `part` in its name the loss changes by its norm.
  void expect_derivatives(synthetic::ModelSpec spec, std::string_view part = "") {
    spec.slots = spec.experts;  // else a small step may choose another expert, and the loss jumps
    load(spec);
    Trained trained(*model_, ids(40));
    trained.loss();
    int compared = 0;
    for (const LearnedTensor& tensor : trained.trainer->tensors()) {
      if (tensor.name.find(part) == tensor.name.npos) { continue; }
      SCOPED_TRACE(tensor.name);
      ++compared;
      // After one step of AdamW from nothing the mean is (1 − β1) of the derivative.
      const double share = 1 - (tensor.name == "x0_lambdas" ? kWhole.input_beta1 : kWhole.beta1);
      std::fill(tensor.mean.begin(), tensor.mean.end(), 0.0f);
      trained.loss();
      std::vector<float> direction(tensor.mean.begin(), tensor.mean.end());
      double square = 0;
      for (const float value : direction) { square += double(value) * value; }
      const double norm = std::sqrt(square);
      ASSERT_GT(norm, 0);
      for (float& value : direction) { value = float(value / norm); }
      const std::vector<float> before(tensor.values.begin(), tensor.values.end());
      const double step = std::min(1e-2, 1e-3 * share / norm + 1e-4);
      move(tensor.values, direction, step);
      const double above = trained.loss();
      std::copy(before.begin(), before.end(), tensor.values.begin());
      move(tensor.values, direction, -step);
      const double below = trained.loss();
      std::copy(before.begin(), before.end(), tensor.values.begin());
      const double found = (above - below) / (2 * step), expected = norm / share;
      // A loss around 6 is rounded to 5e-7, and the step bends a little.
      EXPECT_NEAR(found, expected, 0.02 * expected + 2e-6 / step);
    }
    EXPECT_GT(compared, 0);
  }

  // Losses of a trainer are those of the model that `run` has of the same file.
  void expect_as_texts(const synthetic::ModelSpec& spec, double temperature) {
    EngineModel& model = load(spec);
    const auto text = ids(30);
    Capture run_as_text(kLogitsOnly);
    ASSERT_FALSE(run(model, {.ids = text}, run_as_text));
    NoProgress progress;
    const auto trainer = start_training(*model_, {.threads = 1}, progress);
    std::vector<std::int32_t> targets(text.begin() + 1, text.end());
    targets.push_back(-1);
    std::vector<float> nll;
    const TrainingStep step{.bound = model_->architecture.first_kappa(true)->bound,
                            .temperature = temperature};
    ASSERT_FALSE(trainer->evaluate({text, targets, std::ssize(text)}, step, progress, nll));
    ASSERT_EQ(nll.size(), text.size());
    for (std::size_t t = 0; t + 1 < nll.size(); ++t) {
      EXPECT_NEAR(nll[t], run_as_text.nll[t], 1e-4 + 1e-4 * run_as_text.nll[t]) << "token " << t;
    }
    EXPECT_TRUE(std::isnan(nll.back()));
  }
};

TEST_F(Training, DerivativesAreDifferencesOfTheLoss) {
  expect_derivatives({.kappa_input = KappaInput::top_logits, .kappa_exponent = 0});
  // What else κ comes from changes the experts and κ alone.
  for (const KappaInput input : {KappaInput::router_probs, KappaInput::constant}) {
    SCOPED_TRACE(name(input));
    expect_derivatives({.kappa_input = input, .kappa_exponent = 0}, ".mlp.");
  }
  for (const Granularity granularity : {Granularity::per_expert, Granularity::global}) {
    SCOPED_TRACE(name(granularity));
    expect_derivatives({.kappa_exponent = 0, .granularity = granularity}, "kappa");
  }
  expect_derivatives({.kappa = false}, ".mlp.");
}

TEST_F(Training, DerivativesOfSoftRoutingAreDifferencesOfTheLoss) {
  // Every expert runs: a small step would let another one begin to, and the loss would jump.
  const Json all = {{"lapsum_threshold", 0.0}};
  synthetic::ModelSpec spec{.kappa_exponent = 0, .soft_budget = 3.4, .config = all};
  expect_derivatives(spec);
  spec.kappa_input = KappaInput::router_probs;
  expect_derivatives(spec, ".mlp.");
  expect_derivatives({.kappa = false, .soft_budget = 4.5, .config = all}, ".mlp.");
}

TEST_F(Training, EvaluatesAsTextsAreRun) {
  expect_as_texts({.kappa_input = KappaInput::top_logits}, 1);
  for (const Json& config :
       {Json{{"lapsum_temperature", 1.5}, {"lapsum_expansion", 1.2}, {"lapsum_threshold", 0.1}},
        Json{{"lapsum_temperature", 1.5}, {"lapsum_threshold_scale", 1.2}}}) {
    SCOPED_TRACE(config.dump());
    expect_as_texts({.soft_budget = 3.4, .config = config}, 1.5);
  }
}

TEST_F(Training, RefusesByNameWhatItCannotTrain) {
  const std::pair<synthetic::ModelSpec, const char*> kRefused[] = {
      {{.passes = 2}, "total_ut_steps"},
      {{.expert_bias = true}, "use_aux_free_load_balancing"},
      {{.kappa = false, .bilinear = true}, "bilinear"},
      {{.dense_kappa = true}, "dense"}};
  for (const auto& [spec, what] : kRefused) {
    load(spec);
    NoProgress progress;
    try {
      start_training(*model_, {}, progress);
      ADD_FAILURE() << what << " was not refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::unsupported);
      EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace kappascope
