// Layers read from the file one at a time, and calls of several sequences.
#include <algorithm>
#include <cmath>

#include "tests/engine/engine_fixture.h"

namespace kappascope {
namespace {

// What a call gives with a bound on memory under which the layers stay in the file.
TEST_F(EngineTest, StreamedLayersGiveTheBitsOfResidentOnes) {
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    for (const ComputeType compute : {ComputeType::float32, ComputeType::bfloat16}) {
      const synthetic::ModelSpec spec{.hidden = 64, .layers = 4, .passes = 2, .dtype = dtype};
      load(spec);
      NoProgress progress;
      LoadOptions options{.dtype = compute, .threads = 2};
      std::unique_ptr<EngineModel> whole, streamed, with_head;
      ASSERT_FALSE(engine().load(*model_, options, progress, whole));
      const MemoryPlan plan = plan_memory(*model_, options);
      options.memory = plan.weights + plan.work - 1;
      const MemoryPlan less = plan_memory(*model_, options);
      EXPECT_TRUE(!plan.streamed && less.streamed && less.resident < plan.resident);
      ASSERT_FALSE(engine().load(*model_, options, progress, streamed));
      options.lens = true;
      EXPECT_TRUE(!less.keeps_head && plan_memory(*model_, options).keeps_head);
      ASSERT_FALSE(engine().load(*model_, options, progress, with_head));
      for (const std::int64_t tokens : {1, 2, 60}) {
        const auto text = ids(tokens);
        for (const bool again : {false, true}) {  // the layers are read again
          SCOPED_TRACE(testing::Message() << int(dtype) << int(compute) << tokens << again);
          Capture one(kEverything), other(kEverything), third(kEverything);
          ASSERT_FALSE(run(*whole, {.ids = text}, one));
          ASSERT_FALSE(run(*streamed, {.ids = text}, other));
          EXPECT_EQ(one.logits, other.logits);
          EXPECT_EQ(one.output, other.output);
          EXPECT_EQ(one.sharpness, other.sharpness);
          EXPECT_EQ(one.norm, other.norm);
          // The head is read again for every layer, or it stays.
          EXPECT_EQ(one.lens_logprob.size(), std::size_t(8 * tokens));
          EXPECT_EQ(one.lens_logprob, other.lens_logprob);
          if (again) { continue; }
          ASSERT_FALSE(run(*with_head, {.ids = text}, third));
          EXPECT_EQ(one.logits, third.logits);
          EXPECT_EQ(one.lens_logprob, third.lens_logprob);
        }
      }
    }
  }
}

TEST_F(EngineTest, TooLittleMemoryForOneLayerNamesWhatIsNeeded) {
  load({});
  NoProgress progress;
  const Failure failure = engine().load(*model_, {.threads = 1, .memory = 1000}, progress, loaded_);
  EXPECT_EQ(failure.code, ExitCode::memory);
  const MemoryPlan most = plan_memory(*model_, {.threads = 1, .memory = 10'000'000'000});
  EXPECT_NE(failure.message.find("expected at least "), failure.message.npos) << failure.message;
  EXPECT_NE(failure.message.find("found 1000 (--memory)"), failure.message.npos) << failure.message;
  EXPECT_FALSE(most.streamed);
}

TEST_F(EngineTest, ALoadedModelLeavesRoomForATextOrSaysSo) {
  load({});
  LoadOptions options{.threads = 1, .memory = 10'000'000'000};
  const MemoryPlan plan = plan_memory(*model_, options);
  options.memory = plan.weights + plan.work + 1000;
  options.cache = 600;
  options.kept = 400;
  EXPECT_NO_THROW(require_room(*model_, options));
  options.kept = 401;
  try {
    require_room(*model_, options);
    ADD_FAILURE() << "there is no room";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::memory);
    EXPECT_NE(std::string(error.what()).find("to keep the text"), std::string::npos)
        << error.what();
  }
}

TEST_F(EngineTest, SequencesOfABatchDoNotSeeEachOther) {
  EngineModel& model = load({.passes = 2});
  const auto first = ids(41), second = ids(23, 97);
  std::vector<std::int32_t> both = first;
  both.insert(both.end(), second.begin(), second.end());
  const std::vector<std::int64_t> begins{0, 41};
  const std::vector<Intervention> no_drops{{.edit = Edit::capacity}};
  Capture one(kEverything), other(kEverything), batch(kEverything);
  ASSERT_FALSE(run(model, {.ids = first}, one, no_drops));
  ASSERT_FALSE(run(model, {.ids = second}, other, no_drops));
  ASSERT_FALSE(run(model, {.ids = both, .sequences = begins}, batch, no_drops));
  ASSERT_EQ(batch.logits.size(), one.logits.size() + other.logits.size());
  // Products of more rows may sum in another order.
  for (std::size_t i = 0; i < batch.logits.size(); ++i) {
    const std::size_t at = i - one.logits.size();
    ASSERT_NEAR(batch.logits[i], i < one.logits.size() ? one.logits[i] : other.logits[at], 2e-5);
  }
  EXPECT_TRUE(std::isnan(batch.nll[40]) && std::isnan(batch.nll[63]));
  EXPECT_NEAR(batch.nll[39], one.nll[39], 2e-5);
  EXPECT_NEAR(batch.nll[41], other.nll[0], 2e-5);

  Capture single(kEverything), named(kEverything);
  const std::vector<std::int64_t> begin{0};
  ASSERT_FALSE(run(model, {.ids = first}, single));
  ASSERT_FALSE(run(model, {.ids = first, .sequences = begin}, named));
  EXPECT_EQ(single.logits, named.logits);
}

TEST_F(EngineTest, CapacityOfABatchCountsTheWholeCall) {
  EngineModel& model = load({.layers = 2, .eval_capacity = 0.5});
  const auto text = ids(60);
  const std::vector<std::int64_t> begins{0, 30};
  Capture batch(kEverything);
  ASSERT_FALSE(run(model, {.ids = text, .sequences = begins}, batch));
  std::vector<std::int64_t> kept(4);
  for (std::size_t i = 0; i < batch.expert_index.size(); ++i) {
    kept[batch.expert_index[i]] += batch.expert_kept[i];
  }
  const MoeSpec& moe = *model_->architecture.first_moe()->moe();
  const std::int64_t capacity = capacity_of(*moe.router.capacity, 2, 60, 4);
  EXPECT_EQ(*std::max_element(kept.begin(), kept.end()), capacity);
  EXPECT_EQ(run(model, {.ids = text, .sequences = std::vector<std::int64_t>{0, 0}}, batch).code,
            ExitCode::usage);
}

}  // namespace
}  // namespace kappascope
