// Training steps in Torch: the plain backend's forward pass, its derivatives, Torch's fused AdamW.
#include <ATen/Context.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/GradMode.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "core/engine/run_plan.h"
#include "core/forward/backend.h"
#include "core/forward/device.h"
#include "core/forward/guarded.h"
#include "core/forward/learned_weights.h"
#include "core/forward/predict.h"
#include "core/forward/transformer.h"
#include "core/nan.h"

namespace kappascope {
namespace {

// A run that goes on keeps its rates.
constexpr const char* kStable = "another run with a lower --lr is more stable";

class NoProbe final : public Probe {
 public:
  ProbeWants wants() const noexcept override { return {}; }
};

std::vector<std::int64_t> starts_of(const TrainingBatch& batch) {
  std::vector<std::int64_t> starts;
  for (std::int64_t at = 0; at < std::ssize(batch.ids); at += batch.length) {
    starts.push_back(at);
  }
  return starts;
}

double rate_of(const TrainingRates& rates, LearnedKind kind) {
  switch (kind) {
    case LearnedKind::matrix:
    case LearnedKind::budget:
      return rates.matrices;
    case LearnedKind::embedding:
      return rates.embedding;
    case LearnedKind::head:
      return rates.head;
    case LearnedKind::residual:
      return rates.residual;
    case LearnedKind::input:
      return rates.input;
    case LearnedKind::kappa:
      return rates.kappa;
  }
  fail(ExitCode::internal, {}, "a learned tensor of no kind");
}

// Of AdamW, of one tensor.
struct Moments {
  at::Tensor mean, square;
};

// The same steps give the same numbers where Torch has an operation that does; it says which have
// none. cuBLAS reads its part before its first use.
void repeat_exactly() {
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
}

// Where every rank has a GPU of its own, derivatives are summed there; else, nullptr, by way of the
// host.
std::unique_ptr<DeviceRanks> device_ranks(Ranks* ranks, const at::Device& device) {
  if (!ranks) { return nullptr; }
  std::vector<std::int64_t> numbers(std::size_t(ranks->size()));
  numbers[ranks->rank()] = device_number(device);
  require_exchanged(ranks->sum(std::span(numbers)));
  std::sort(numbers.begin(), numbers.end());
  const bool apart = std::adjacent_find(numbers.begin(), numbers.end()) == numbers.end();
  const bool all = std::find(numbers.begin(), numbers.end(), 0) == numbers.end();
  return apart && all ? join_devices(*ranks, device) : nullptr;
}

// Every step asks for tensors of the same sizes. Given back to the system after each, their pages
// would be cleared anew, a seventh of a step's time.
void keep_freed_memory() {
  constexpr int kLargest = 32 << 20;  // that glibc takes
  mallopt(M_MMAP_THRESHOLD, kLargest);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

class TorchTrainer final : public Trainer {
 public:
  TorchTrainer(const Model& model, const TrainingRules& rules, at::Device device,
               Progress& progress)
      : model_(model),
        rules_(rules),
        device_(device),
        weights_(model, device, progress),
        training_plan_(resolve(model, {})),
        plan_(resolve(model, {})) {
    for (LayerPlan& layer : training_plan_.layers) {
      if (layer.capacity) { layer.capacity->factor = rules.capacity; }
    }
    for (const Leaf& leaf : weights_.leaves()) {
      const Moments& of =
          moments_.emplace_back(Moments{at::zeros_like(leaf.values), at::zeros_like(leaf.values)});
      tensors_.push_back({leaf.name, leaf.values.sizes().vec(), shown(leaf.values.detach()),
                          shown(of.mean), shown(of.square)});
    }
    if (rules.device != ComputeDevice::cpu) { repeat_exactly(); }
    device_ranks_ = device_ranks(rules.ranks, device);
  }

  Failure step(const TrainingBatch& batch, const TrainingStep& step, Progress& progress,
               StepReport& report) noexcept override {
    const Failure failure = guarded([&] {
      const c10::DeviceGuard device(device_);
      take_back();
      const c10::AutoGradMode gradients(true);
      run_step(batch, step, progress, report);
    });
    for (const Leaf& leaf : weights_.leaves()) { leaf.values.mutable_grad().reset(); }
    return failure;
  }

  Failure evaluate(const TrainingBatch& batch, const TrainingStep& step, Progress& progress,
                   std::vector<float>& nll) noexcept override {
    return guarded([&] {
      const c10::DeviceGuard device(device_);
      take_back();
      const c10::NoGradGuard no_gradients;
      LearningCall learning(rules_, /*losses=*/false, /*describe=*/false);
      const at::Tensor values =
          losses_of(batch, plan_, step, progress, learning).cpu().contiguous();
      const float* first = values.const_data_ptr<float>();
      nll.assign(first, first + values.numel());
      for (std::size_t i = 0; i < nll.size(); ++i) {
        if (batch.targets[i] < 0) { nll[i] = kNaN; }
      }
    });
  }

  std::span<const LearnedTensor> tensors() noexcept override {
    for (const Copied& of : copied_) { of.host.copy_(of.values); }
    given_out_ = true;
    return tensors_;
  }

  void set_steps(std::int64_t steps) noexcept override { steps_ = steps; }

 private:
  // A tensor on a GPU, and the memory that tensors() gives of it.
  struct Copied {
    at::Tensor values, host;
  };

  std::span<float> shown(const at::Tensor& values) {
    at::Tensor host = values;
    if (rules_.device != ComputeDevice::cpu) {
      host = values.to(at::kCPU, at::kFloat, /*non_blocking=*/false, /*copy=*/true);
      copied_.push_back({values, host});
    }
    return {host.mutable_data_ptr<float>(), std::size_t(host.numel())};
  }

  // What was written to the copies since they were given out.
  void take_back() {
    if (!std::exchange(given_out_, false)) { return; }
    const c10::NoGradGuard no_gradients;
    for (const Copied& of : copied_) { of.values.copy_(of.host); }
  }

  // −ln p of the targets [T], 0 where there is none.
  at::Tensor losses_of(const TrainingBatch& batch, RunPlan& plan, const TrainingStep& step,
                       Progress& progress, LearningCall& learning) {
    weights_.prepare(learning);
    for (std::size_t i = 0; i < plan.layers.size(); ++i) {
      LayerPlan& layer = plan.layers[i];
      for (KappaPlan& kappa : layer.kappa) { kappa.bound = step.bound; }
      if (!layer.soft) { continue; }
      layer.soft->budget = learning.budgets[i].item<double>();
      layer.soft->temperature = step.temperature;
    }
    const std::vector<std::int64_t> starts = starts_of(batch);
    const ForwardCall call{.ids = batch.ids, .sequences = starts};
    NoProbe probe;
    CallContext context{model_, call, plan, probe, progress, {}, plain_backend()};
    context.learning = &learning;
    context.total = std::uint64_t(context.tokens() * model_.architecture.depth());
    const at::Tensor x = run_stack(weights_.weights(), context);
    const at::Tensor logits = output_logits(x, weights_.weights(), model_.architecture);
    const at::Tensor targets =
        at::from_blob(const_cast<std::int32_t*>(batch.targets.data()), {context.tokens()}, at::kInt)
            .to(at::kLong)
            .to(device_);
    return at::cross_entropy_loss(logits, targets, {}, at::Reduction::None, -1);
  }

  void run_step(const TrainingBatch& batch, const TrainingStep& step, Progress& progress,
                StepReport& report) {
    report = {};
    LearningCall learning(rules_, /*losses=*/true, step.describe);
    const std::size_t tokens = batch.ids.size() / std::size_t(batch.calls);
    for (std::int64_t i = 0; i < batch.calls; ++i) {
      const std::size_t first = std::size_t(i) * tokens;
      learning.begin();
      run_call(
          {batch.ids.subspan(first, tokens), batch.targets.subspan(first, tokens), batch.length},
          step, 1 / double(batch.calls), progress, learning, report);
    }
    report.layers = learning.layers();
    sum_gradients();
    report.gradient = check_gradients();
    update(step.rates);
  }

  // Adds `share` of a call's losses to the report and of their derivatives to the leaves.
  void run_call(const TrainingBatch& batch, const TrainingStep& step, double share,
                Progress& progress, LearningCall& learning, StepReport& report) {
    const at::Tensor each = losses_of(batch, training_plan_, step, progress, learning);
    const at::Tensor loss =
        learning.over_ranks(each.sum() / std::max(1.0, double(counted(batch.targets))));
    at::Tensor kappa_l2 = weights_.kappa_l2();
    if (rules_.ranks && rules_.ranks->rank() > 0) { kappa_l2 = kappa_l2.detach(); }  // once in all
    at::Tensor total = loss + step.balance * learning.balance() +
                       step.router_z * learning.router_z() + step.kappa_l2 * kappa_l2;
    report.loss += share * loss.item<double>();
    report.balance += share * learning.balance().item<double>();
    report.router_z += share * learning.router_z().item<double>();
    report.kappa_l2 += share * kappa_l2.item<double>();
    require(std::isfinite(total.item<double>()), ExitCode::internal, {},
            "the loss is not a finite number; ", kStable);
    if (share != 1) { total = share * total; }
    total.backward();
  }

  // Targets of a call, on all ranks.
  std::int64_t counted(std::span<const std::int32_t> targets) const {
    std::int64_t count =
        std::count_if(targets.begin(), targets.end(), [](int id) { return id >= 0; });
    if (rules_.ranks) { require_exchanged(rules_.ranks->sum(std::span(&count, 1))); }
    return count;
  }

  void sum_over_ranks(at::Tensor& values) {
    if (device_ranks_) { return device_ranks_->sum(values); }
    const at::Tensor host = values.cpu();
    require_exchanged(
        rules_.ranks->sum(std::span(host.mutable_data_ptr<float>(), std::size_t(host.numel()))));
    values.copy_(host);
  }

  // The derivatives of every leaf, summed over the ranks; those that no token reached are 0, as
  // AdamW then counts the step.
  void sum_gradients() {
    constexpr std::int64_t kAtOnce = 1 << 22;  // values
    std::vector<at::Tensor> some;
    std::int64_t size = 0;
    const auto exchange = [&] {
      if (some.empty()) { return; }
      at::Tensor flat = at::cat(some);
      sum_over_ranks(flat);
      std::int64_t first = 0;
      for (at::Tensor& part : some) {
        part.copy_(flat.narrow(0, first, part.numel()));
        first += part.numel();
      }
      some.clear();
      size = 0;
    };
    for (const Leaf& leaf : weights_.leaves()) {
      at::Tensor values = leaf.values;
      if (!values.grad().defined()) { values.mutable_grad() = at::zeros_like(values); }
      if (!rules_.ranks) { continue; }
      values.mutable_grad() = values.grad().contiguous();
      some.push_back(values.grad().view(-1));
      size += values.numel();
      if (size >= kAtOnce) { exchange(); }
    }
    exchange();
  }

  // The norm of all derivatives.
  double check_gradients() {
    double square = 0;
    for (const Leaf& leaf : weights_.leaves()) {
      const double part = leaf.values.grad().square().sum(at::kDouble).item<double>();
      require(std::isfinite(part), ExitCode::internal, {.tensor = leaf.name},
              "a derivative is not a finite number; ", kStable);
      square += part;
    }
    return std::sqrt(square);
  }

  // A step of AdamW (Loshchilov and Hutter 2019, algorithm 2).
  void update(const TrainingRates& rates) {
    const c10::NoGradGuard no_gradients;
    const std::vector<Leaf>& leaves = weights_.leaves();
    const at::Tensor step = at::full({}, double(steps_ + 1), leaves.front().values.options());
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      const auto& [name, kind, values] = leaves[i];
      at::_fused_adamw_({values}, {values.grad()}, {moments_[i].mean}, {moments_[i].square},
                        /*max_exp_avg_sqs=*/{}, {step}, rate_of(rates, kind),
                        kind == LearnedKind::input ? rules_.input_beta1 : rules_.beta1,
                        rules_.beta2, kind == LearnedKind::matrix ? rates.decay : 0, rules_.epsilon,
                        /*amsgrad=*/false, /*maximize=*/false);
    }
    ++steps_;
  }

  const Model& model_;
  const TrainingRules rules_;
  const at::Device device_;
  LearnedWeights weights_;
  std::vector<Moments> moments_;  // of the leaves
  std::int64_t steps_ = 0;        // that the moments have seen
  RunPlan training_plan_, plan_;  // with the capacity of training, and the model's own
  std::vector<LearnedTensor> tensors_;
  std::vector<Copied> copied_;  // of all that tensors_ show; on the CPU none
  bool given_out_ = false;
  std::unique_ptr<DeviceRanks> device_ranks_;
};

}  // namespace
}  // namespace kappascope

extern "C" __attribute__((visibility("default"))) bool kappascope_training(
    std::uint32_t version, const kappascope::Model* model, const kappascope::TrainingRules* rules,
    kappascope::Progress* progress, std::unique_ptr<kappascope::Trainer>* trainer,
    kappascope::Failure* failure) {
  using namespace kappascope;
  if (version != kTrainingVersion) { return false; }
  *failure = guarded([&] {
    keep_freed_memory();
    const at::Device place = open_device(
        {.threads = rules->threads, .device = rules->device, .device_index = rules->device_index});
    const c10::DeviceGuard device(place);
    *trainer = std::make_unique<TorchTrainer>(*model, *rules, place, *progress);
  });
  return true;
}
