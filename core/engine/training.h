// Training as the app sees it: one optimiser step at a time, through the forward pass of the engine
// library. What is learned, how fast and on which tokens is decided outside (core/train).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/engine/engine.h"
#include "core/engine/progress.h"
#include "core/engine/ranks.h"
#include "core/error.h"
#include "core/model/model.h"
#include "core/nan.h"

namespace kappascope {

// What does not change from step to step.
struct TrainingRules {
  int threads = 0;  // 0: usable_threads()
  ComputeDevice device = ComputeDevice::cpu;
  int device_index = 0;                  // which of the GPUs
  double capacity = 1.25;                // factor of the capacity of experts while training
  double score_gradient = 0.1;           // of the derivative by s, into the router
  double router_z_input_gradient = 0.1;  // of the derivative of the router z-loss by its input
  double beta1 = 0.8, beta2 = 0.95;      // AdamW
  double input_beta1 = 0.96;             // of x0_lambdas
  double epsilon = 1e-10;
  // Of soft routing: what the MoE layers share; 0: the sum of the model's budgets, which is the
  // same but for its last bits.
  double total_budget = 0;
  // Who share every call of a step, each with as many of its sequences; nullptr: none but this
  // process. They must outlive the trainer. A progress must not stop the steps of one rank alone.
  Ranks* ranks = nullptr;
};

// Sequences of one length, one after another: B·C ids, and the token that follows each. A step runs
// them in `calls` of the model, as many in each: within a call the capacity of experts and load
// balancing count, the sequences of all ranks together, in the order of the ranks.
struct TrainingBatch {
  std::span<const std::int32_t> ids;      // [B·C] of this rank
  std::span<const std::int32_t> targets;  // [B·C] −1: none, it is not counted
  std::int64_t length = 0;                // C ≤ the model's context
  std::int64_t calls = 1;                 // divides B
};

// Learning rates of AdamW by what a tensor is.
struct TrainingRates {
  double matrices = 0;   // of attention, experts, dense layers, routers and budgets
  double decay = 0;      // weight decay, of those alone but for the budgets
  double embedding = 0;  // of the token and the value embeddings
  double head = 0;       // of lm_head
  double residual = 0;   // resid_lambdas
  double input = 0;      // x0_lambdas
  double kappa = 0;      // α, b and the κ router
};

struct TrainingStep {
  TrainingRates rates;
  double bound = 1;        // U in force
  double temperature = 1;  // T in force, of soft routing
  // loss = next token + balance·… + router_z·… + kappa_l2·…
  double balance = 0, router_z = 0, kappa_l2 = 0;
  bool describe = false;  // fills StepReport::layers
};

struct LayerReport {
  std::int64_t layer = 0;
  std::vector<double> load;  // [E] share of the assignments, kept and dropped
  // κ over tokens, experts and gate units; NaN where the layer has no learned κ.
  double kappa_mean = kNaN, kappa_spread = kNaN;
  // Of soft routing, else NaN: k, and how many experts ran for a token in the mean.
  double budget = kNaN, experts_run = kNaN;
};

struct StepReport {
  double loss = 0;                  // mean of −ln p of the targets, in nats
  double balance = 0;               // sums over the MoE layers, before their weights, and
  double router_z = 0;              // means over the calls
  double kappa_l2 = 0;              // Σ mean b² + mean α²
  double gradient = 0;              // ‖derivatives of all parameters‖₂
  std::vector<LayerReport> layers;  // MoE layers, where asked for
};

// A tensor that is learned, with the moments of AdamW beside it; row by row, float32.
struct LearnedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::span<float> values, mean, square;
};

// A model in training. Not safe to use from several threads at once.
class Trainer {
 public:
  virtual ~Trainer() = default;
  // One step of AdamW, with the mean of the losses of its calls. Nothing has changed when it fails:
  // interrupted (the progress said stop), memory, internal (also a loss or a derivative that is not
  // a number, naming it), and what Ranks fail with. All ranks report the same.
  virtual Failure step(const TrainingBatch& batch, const TrainingStep& step, Progress& progress,
                       StepReport& report) noexcept = 0;
  // −ln p of every target, NaN where there is none, with U and T of the step; the capacity of
  // experts is the model's own. One call, of this rank alone.
  virtual Failure evaluate(const TrainingBatch& batch, const TrainingStep& step, Progress& progress,
                           std::vector<float>& nll) noexcept = 0;
  // In running order; the memory is the trainer's and may be written to before the next step. On a
  // GPU it is a copy, made by this call.
  virtual std::span<const LearnedTensor> tensors() noexcept = 0;
  // How many steps the moments have seen.
  virtual void set_steps(std::int64_t steps) noexcept = 0;
};

inline constexpr std::uint32_t kTrainingVersion = 4;  // of this header

// Loads the weights of `model`, which must outlive the result, in the engine library of the device.
// Throws Error: unsupported, by name, where a part of the model cannot be trained; gpu where there
// is none such.
std::unique_ptr<Trainer> start_training(const Model& model, const TrainingRules& rules,
                                        Progress& progress);

}  // namespace kappascope

// The second symbol of each engine library. False where `version` is not its own.
extern "C" bool kappascope_training(std::uint32_t version, const kappascope::Model* model,
                                    const kappascope::TrainingRules* rules,
                                    kappascope::Progress* progress,
                                    std::unique_ptr<kappascope::Trainer>* trainer,
                                    kappascope::Failure* failure);
