// The engine library over synthetic models: what must hold whatever the weights are. The numbers
// themselves are judged by tests/golden.
#include <algorithm>
#include <cmath>

#include "tests/engine/engine_fixture.h"

namespace kappascope {
namespace {

TEST_F(EngineTest, ProbesChangeNoBitOfTheLogits) {
  for (const std::int64_t passes : {1, 2}) {
    EngineModel& model = load({.passes = passes, .eval_capacity = 0.8});
    const auto text = ids(50);
    Capture bare(kLogitsOnly), full(kEverything);
    ASSERT_FALSE(run(model, {.ids = text}, bare));
    ASSERT_FALSE(run(model, {.ids = text}, full));
    ASSERT_EQ(bare.logits.size(), 50u * 256u);
    EXPECT_EQ(bare.logits, full.logits);
    EXPECT_TRUE(bare.expert_index.empty());
    EXPECT_EQ(full.expert_index.size(), std::size_t(passes) * 2 * 50 * 2);
  }
}

TEST_F(EngineTest, HistogramsCountEveryKeptGateOnce) {
  EngineModel& model = load({.eval_capacity = 0.6});
  const auto text = ids(40);
  Capture capture(kEverything);
  ASSERT_FALSE(run(model, {.ids = text}, capture));
  const auto kept = std::accumulate(capture.expert_kept.begin(), capture.expert_kept.end(), 0);
  ASSERT_LT(kept, int(capture.expert_kept.size()));  // something was dropped
  EXPECT_EQ(capture.counted, std::int64_t(kept) * 4 * 32);
}

TEST_F(EngineTest, ContextRowsRunButAreNotTold) {
  EngineModel& model = load({.eval_capacity = 100});
  const auto text = ids(40);
  Capture whole(kEverything), tail(kEverything);
  ASSERT_FALSE(run(model, {.ids = text}, whole));
  ASSERT_FALSE(run(model, {.ids = text, .text_offset = 100, .first_recorded = 25}, tail));
  EXPECT_EQ(tail.logits, std::vector<float>(whole.logits.begin() + 25 * 256, whole.logits.end()));
  EXPECT_EQ(tail.sharpness.size(), 2u * 15u * 2u);
  EXPECT_EQ(tail.counted, 2 * 15 * 2 * 4 * 32);
  EXPECT_EQ(tail.first_tokens.front(), 125);
}

TEST_F(EngineTest, NormsAreThoseOfTheOutputsOfKeptExperts) {
  EngineModel& model = load({.slots = 1, .eval_capacity = 0.6});  // one expert, so its weight is 1
  const auto text = ids(40);
  Capture all(kEverything), tail(kEverything), bare(kLogitsOnly);
  ASSERT_FALSE(run(model, {.ids = text}, all));
  ASSERT_FALSE(run(model, {.ids = text, .first_recorded = 25}, tail));
  ASSERT_FALSE(run(model, {.ids = text}, bare));
  ASSERT_EQ(all.norm.size(), 2u * 40u);
  EXPECT_TRUE(bare.norm.empty());
  std::size_t dropped = 0;
  for (std::size_t t = 0; t < 40; ++t) {
    const float norm = all.norm[40 + t];  // of the last layer, as is `output`
    double sum = 0;
    for (std::size_t h = 0; h < 32; ++h) {
      sum += double(all.output[t * 32 + h]) * all.output[t * 32 + h];
    }
    if (all.expert_kept[40 + t]) {
      EXPECT_FLOAT_EQ(norm, float(std::sqrt(sum)));
    } else {
      EXPECT_TRUE(std::isnan(norm));
      EXPECT_EQ(sum, 0);
      ++dropped;
    }
    if (t >= 25 && all.expert_kept[40 + t]) { EXPECT_EQ(tail.norm[15 + t - 25], norm); }
  }
  EXPECT_GT(dropped, 0u);
}

TEST_F(EngineTest, KappaOffIsTheModelWithoutKappa) {
  const auto text = ids(30);
  Capture off(kLogitsOnly), never(kLogitsOnly), on(kLogitsOnly);
  EngineModel& with = load({});
  ASSERT_FALSE(run(with, {.ids = text}, off, {{.edit = Edit::kappa}}));
  ASSERT_FALSE(run(with, {.ids = text}, on));
  ASSERT_FALSE(run(load({.kappa = false}), {.ids = text}, never));
  EXPECT_EQ(off.logits, never.logits);
  EXPECT_NE(on.logits, never.logits);
}

TEST_F(EngineTest, BilinearExpertsAreThoseOfLayersWithoutKappa) {
  const auto text = ids(30);
  Capture plain(kLogitsOnly), bilinear(kLogitsOnly), kappa(kLogitsOnly), both(kLogitsOnly);
  ASSERT_FALSE(run(load({.kappa = false}), {.ids = text}, plain));
  ASSERT_FALSE(run(load({.kappa = false, .bilinear = true}), {.ids = text}, bilinear));
  ASSERT_FALSE(run(load({}), {.ids = text}, kappa));
  ASSERT_FALSE(run(load({.bilinear = true}), {.ids = text}, both));
  EXPECT_NE(bilinear.logits, plain.logits);
  EXPECT_EQ(both.logits, kappa.logits);
}

// Rows of `capture` that hold a NaN, [T].
std::vector<bool> spoilt_rows(const Capture& capture, std::int64_t tokens) {
  std::vector<bool> spoilt;
  const std::size_t vocab = capture.logits.size() / std::size_t(tokens);
  for (std::int64_t t = 0; t < tokens; ++t) {
    const auto row = capture.logits.begin() + std::ptrdiff_t(std::size_t(t) * vocab);
    spoilt.push_back(std::any_of(row, row + std::ptrdiff_t(vocab),
                                 [](float value) { return std::isnan(value); }));
  }
  return spoilt;
}

TEST_F(EngineTest, NaNInAnExpertStaysWithItsTokensInTheLastLayer) {
  EngineModel& clean = load({});
  const auto text = ids(40);
  Capture before(kEverything);
  ASSERT_FALSE(run(clean, {.ids = text}, before));
  EngineModel& model = load({.not_a_number = {"transformer.h.2.mlp.experts.c_fc"}});
  EXPECT_EQ(model.nonfinite_weights(), 1u);
  EXPECT_STREQ(model.nonfinite_tensors(), "transformer.h.2.mlp.experts.c_fc");
  Capture after(kEverything);
  ASSERT_FALSE(run(model, {.ids = text}, after));
  const auto spoilt = spoilt_rows(after, 40);
  const std::size_t last_layer = 40 * 2;  // the second MoE layer's assignments
  for (std::size_t t = 0; t < 40; ++t) {
    const std::size_t cell = last_layer + 2 * t;
    const bool served_by_0 = (before.expert_index[cell] == 0 && before.expert_kept[cell]) ||
                             (before.expert_index[cell + 1] == 0 && before.expert_kept[cell + 1]);
    EXPECT_EQ(spoilt[t], served_by_0) << "token " << t;
    if (!served_by_0) { EXPECT_EQ(after.logits[t * 256], before.logits[t * 256]) << "token " << t; }
  }
}

TEST_F(EngineTest, NaNReachesNoEarlierTokenThroughAttention) {
  EngineModel& clean = load({});
  auto text = ids(40);
  for (auto& id : text) { id = id == 0 ? 1 : id; }
  text[20] = 0;  // the only token whose embedding is spoilt
  Capture before(kLogitsOnly), after(kLogitsOnly);
  ASSERT_FALSE(run(clean, {.ids = text}, before));
  EngineModel& model = load({.not_a_number = {"transformer.wte.weight"}});
  ASSERT_FALSE(run(model, {.ids = text}, after));
  const auto spoilt = spoilt_rows(after, 40);
  for (std::size_t t = 0; t < 20; ++t) {
    EXPECT_FALSE(spoilt[t]) << "token " << t;
    EXPECT_NEAR(after.logits[t * 256], before.logits[t * 256], 1e-5) << "token " << t;
  }
  EXPECT_TRUE(spoilt[20]);
}

TEST_F(EngineTest, RefusesWhatItCannotRun) {
  EngineModel& model = load({});
  Capture capture(kLogitsOnly);
  const auto too_long = ids(65);
  const std::vector<std::int32_t> outside = {1, 256}, negative = {-1};
  EXPECT_EQ(run(model, {.ids = {}}, capture).code, ExitCode::usage);
  const Failure length = run(model, {.ids = too_long}, capture);
  EXPECT_EQ(length.code, ExitCode::unsupported);
  EXPECT_NE(length.message.find("65"), std::string::npos);
  EXPECT_NE(length.message.find("64"), std::string::npos);
  EXPECT_EQ(run(model, {.ids = outside}, capture).code, ExitCode::unsupported);
  EXPECT_EQ(run(model, {.ids = negative}, capture).code, ExitCode::unsupported);
}

// Says stop at the given call.
class StopAt final : public Progress {
 public:
  explicit StopAt(int call) : left_(call) {}
  bool update(Stage, std::uint64_t, std::uint64_t) noexcept override { return --left_ > 0; }

 private:
  int left_;
};

TEST_F(EngineTest, StopsWhereItIsToldTo) {
  EngineModel& model = load({});
  const auto text = ids(40);
  for (const int call : {1, 2, 5, 9}) {
    Capture capture(kLogitsOnly);
    StopAt stop(call);
    EXPECT_EQ(model.forward({.ids = text}, resolve(*model_, {}), capture, stop).code,
              ExitCode::interrupted);
    EXPECT_TRUE(capture.logits.empty());
  }
  Capture unwilling(kLogitsOnly);
  unwilling.keep_going = false;
  EXPECT_EQ(run(model, {.ids = text}, unwilling).code, ExitCode::interrupted);
  StopAt stop(1);
  EXPECT_EQ(engine().load(*model_, {}, stop, loaded_).code, ExitCode::interrupted);
}

TEST_F(EngineTest, TheCpuRunsAfterAGpuThatDoesNot) {
  EngineModel& model = load({});
  std::unique_ptr<EngineModel> none;
  NoProgress progress;
  Failure failure;
  try {  // built without CUDA, without its libraries here, or without so many GPUs
    Engine& gpu = engine(ComputeDevice::cuda);
    failure =
        gpu.load(*model_, {.device = ComputeDevice::cuda, .device_index = 99}, progress, none);
  } catch (const Error& error) { failure = error.failure(); }
  EXPECT_EQ(failure.code, ExitCode::gpu) << failure.message;
  EXPECT_FALSE(none);
  Capture before(kLogitsOnly), after(kLogitsOnly);
  const auto text = ids(20);
  ASSERT_FALSE(run(model, {.ids = text}, before));
  ASSERT_FALSE(run(load({}), {.ids = text}, after));
  EXPECT_EQ(before.logits, after.logits);
}

TEST_F(EngineTest, OneTokenAndNextTokenAcrossChunks) {
  EngineModel& model = load({});
  const auto text = ids(20);
  Capture whole(kLogitsOnly), first(kLogitsOnly), one(kLogitsOnly);
  const std::span<const std::int32_t> all(text);
  ASSERT_FALSE(run(model, {.ids = all}, whole));
  ASSERT_FALSE(run(model, {.ids = all.first(1)}, one));
  ASSERT_EQ(one.nll.size(), 1u);
  EXPECT_TRUE(std::isnan(one.nll[0]));
  ASSERT_FALSE(run(model, {.ids = all.first(1), .next_id = text[1]}, first));
  EXPECT_NEAR(first.nll[0], whole.nll[0], 1e-5);
}

}  // namespace
}  // namespace kappascope
