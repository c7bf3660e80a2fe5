// kappascope_train_steps MODEL OUT.npz [cpu|cuda[:N]]: trains a model for some steps on drawn
// tokens. "first": the losses of a step whose rates are 0; "loss", of those that follow; "nll" at
// the end; and each tensor's derivative in the first step, "grad.NAME", and values at the end,
// "NAME". Without a GPU, 77.
#include <iostream>
#include <string>
#include <vector>

#include "core/engine/training.h"
#include "core/trace/npz.h"

namespace kappascope {
namespace {

constexpr std::int64_t kLength = 24, kSequences = 3;
constexpr int kSteps = 4;

class Arrays {
 public:
  void keep(const std::string& name, std::vector<std::int64_t> shape, std::vector<float> values) {
    descriptions_.push_back({name, NpyType::float32, std::move(shape), 0});
    values_.push_back(std::move(values));
  }
  void write(const std::string& path) {
    NpzWriter writer(path, descriptions_);
    for (std::size_t i = 0; i < values_.size(); ++i) {
      writer.write(descriptions_[i].name, 0, std::as_bytes(std::span(values_[i])));
    }
    writer.finish();
  }

 private:
  std::vector<NpyArray> descriptions_;
  std::vector<std::vector<float>> values_;
};

struct Sequences {
  std::vector<std::int32_t> ids, targets;
  explicit Sequences(std::int64_t vocab) {
    std::uint32_t state = 1;
    for (std::int64_t t = 0; t < kSequences * kLength; ++t) {
      state = state * 1664525u + 1013904223u;
      ids.push_back(std::int32_t((state >> 8) % std::uint64_t(vocab)));
    }
    targets.assign(ids.begin() + 1, ids.end());
    targets.push_back(-1);
    for (std::int64_t i = 1; i < kSequences; ++i) { targets[i * kLength - 1] = -1; }
  }
  TrainingBatch batch() const { return {ids, targets, kLength}; }
};

void throw_if(const Failure& failure) {
  if (failure) { throw Error(failure); }
}

StepReport run_step(Trainer& trainer, const Sequences& of, const TrainingRates& rates) {
  const TrainingStep step{.rates = rates,
                          .bound = 3,
                          .balance = 0.01,
                          .router_z = 0.001,
                          .kappa_l2 = 0.01,
                          .describe = true};
  NoProgress progress;
  StepReport report;
  throw_if(trainer.step(of.batch(), step, progress, report));
  return report;
}

void train(const Model& model, const TrainingRules& rules, const std::string& path) {
  NoProgress progress;
  const auto trainer = start_training(model, rules, progress);
  const Sequences drawn(model.architecture.vocab);
  Arrays arrays;
  const StepReport first = run_step(*trainer, drawn, {});
  arrays.keep("first", {5},
              {float(first.loss), float(first.balance), float(first.router_z),
               float(first.kappa_l2), float(first.gradient)});
  for (const LayerReport& layer : first.layers) {
    std::vector<float> numbers(layer.load.begin(), layer.load.end());
    numbers.push_back(float(layer.kappa_mean));
    numbers.push_back(float(layer.kappa_spread));
    arrays.keep(join_words("first.layer", layer.layer), {std::ssize(numbers)}, numbers);
  }
  // After one step of AdamW from nothing the mean is (1 − β1) of the derivative. The moments start
  // again then: the next step is the first that counts.
  for (const LearnedTensor& tensor : trainer->tensors()) {
    std::vector<float> mean(tensor.mean.begin(), tensor.mean.end());
    const double beta = tensor.name == "x0_lambdas" ? rules.input_beta1 : rules.beta1;
    for (float& value : mean) { value = float(double(value) / (1 - beta)); }
    arrays.keep("grad." + tensor.name, tensor.shape, mean);
    std::fill(tensor.mean.begin(), tensor.mean.end(), 0.0f);
    std::fill(tensor.square.begin(), tensor.square.end(), 1e-4f);
  }
  trainer->set_steps(100);
  std::vector<float> losses;
  for (int i = 0; i < kSteps; ++i) {
    const double rate = 1e-2;
    losses.push_back(
        float(run_step(*trainer, drawn, {rate, 0.1, rate, rate, rate, rate, rate}).loss));
  }
  arrays.keep("loss", {kSteps}, losses);
  std::vector<float> nll;
  throw_if(trainer->evaluate(drawn.batch(), {.bound = 3}, progress, nll));
  arrays.keep("nll", {std::ssize(nll)}, nll);
  for (const LearnedTensor& tensor : trainer->tensors()) {
    arrays.keep(tensor.name, tensor.shape, {tensor.values.begin(), tensor.values.end()});
  }
  arrays.write(path);
}

}  // namespace
}  // namespace kappascope

int main(int argc, char** argv) {
  using namespace kappascope;
  if (argc < 3 || argc > 4) { return 2; }
  const std::string device = argc > 3 ? argv[3] : "cpu";
  TrainingRules rules{.threads = 1};
  if (device != "cpu") { rules.device = ComputeDevice::cuda; }
  if (device.size() > 5) { rules.device_index = std::stoi(device.substr(5)); }
  try {
    const Model model = open_model(argv[1], {});
    train(model, rules, argv[2]);
  } catch (const Error& error) {
    std::cerr << "kappascope_train_steps: " << error.what() << '\n';
    return error.code() == ExitCode::gpu ? 77 : 1;
  } catch (const std::exception& error) {
    std::cerr << "kappascope_train_steps: " << error.what() << '\n';
    return 1;
  }
}
