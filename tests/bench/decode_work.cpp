// Single tokens after kept ones, as `kappascope generate` runs them.
#include <cmath>
#include <optional>

#include "tests/bench/works.h"

namespace kappascope::bench {
namespace {

// Adds up the loss of each token's prediction.
class Losses final : public Probe {
 public:
  ProbeWants wants() const noexcept override { return {.next_token = true, .logits = true}; }
  bool next_token(const NextTokenTap& tap) noexcept override {
    if (!std::isnan(tap.nll[tap.tokens - 1])) { nll += tap.nll[tap.tokens - 1]; }
    return true;
  }
  double nll = 0;
};

// Bytes of the weights that one token is multiplied by: all but experts that do not run, and
// tables of which a row is looked up.
std::uint64_t bytes_of_step(const Model& model) {
  double bytes = 0;
  for (const Stored& weight : model.weights.all()) {
    if (!weight.tensor || weight.role == Role::embedding) { continue; }
    const bool expert = weight.role == Role::expert_gate || weight.role == Role::expert_up ||
                        weight.role == Role::expert_down;
    const MoeSpec* moe = expert ? model.architecture.layers[weight.layer].moe() : nullptr;
    const double share = moe ? double(moe->router.slots) / double(moe->router.experts) : 1;
    bytes += 4 * share * double(weight.elements());
  }
  return std::uint64_t(bytes);
}

// "decode": a prompt of `tokens` made-up ids, then `steps` more, one a call; the seconds are those
// of the latter, each.
class DecodeWork final : public Work {
 public:
  explicit DecodeWork(const Json& arguments)
      : model_(open_model(arguments.at("model").get<std::string>())),
        plan_(resolve(model_, {})),
        loaded_(loaded_model(model_, arguments)) {}

  Json run(const Json& arguments) override {
    const std::int64_t prompt = arguments.at("tokens"), steps = arguments.at("steps");
    std::vector<std::int32_t> ids;
    for (std::int64_t t = 0; t <= prompt + steps; ++t) {
      ids.push_back(std::int32_t((t * 7919 + t / 3) % model_.architecture.vocab));
    }
    std::unique_ptr<TokenCache> cache;
    const Failure failure = loaded_->make_cache(plan_.passes, prompt + steps, cache);
    if (failure) { throw Error(failure); }
    Losses losses;
    call(ids, 0, prompt, *cache, losses);
    losses.nll = 0;
    const double begin = seconds_now();
    for (std::int64_t t = prompt; t < prompt + steps; ++t) { call(ids, t, 1, *cache, losses); }
    return {{"seconds", (seconds_now() - begin) / double(steps)},
            {"nll", losses.nll},
            {"bytes", bytes_of_step(model_)}};
  }

 private:
  void call(const std::vector<std::int32_t>& ids, std::int64_t first, std::int64_t count,
            TokenCache& cache, Losses& losses) {
    ForwardCall call{.ids = std::span(ids).subspan(std::size_t(first), std::size_t(count))};
    call.text_offset = first;
    call.first_recorded = count - 1;
    call.next_id = ids[first + count];
    call.cache = &cache;
    const Failure failure = loaded_->forward(call, plan_, losses, progress_);
    if (failure) { throw Error(failure); }
  }

  Model model_;
  RunPlan plan_;
  NoProgress progress_;
  std::unique_ptr<EngineModel> loaded_;
};

}  // namespace

void add_decode_work(std::map<std::string, Maker>& makers) {
  makers["decode"] = [](const Json& arguments) { return std::make_unique<DecodeWork>(arguments); };
}

}  // namespace kappascope::bench
