// The course of a training run, by the rules of docs/training.md, and what no run can be.
#include "core/train/settings.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/engine/training.h"

namespace kappascope {
namespace {

// 100 steps at the width, depth and rate to which all others are scaled.
TrainSettings hundred_steps() {
  TrainSettings settings;
  settings.layers = 12;
  settings.width = 768;
  settings.context = 16;
  settings.batch = 1;
  settings.tokens = 1600;
  settings.rate = 0.01;
  settings.kappa_delay = 10;
  settings.kappa_warmup = 20;
  return settings;
}

TEST(TrainCourse, RatesAreConstantThenFallToNothing) {
  const TrainSettings settings = hundred_steps();
  ASSERT_EQ(settings.steps(), 100);
  for (const auto& [step, share] :
       {std::pair{0, 1.0}, {49, 1.0}, {50, 1.0}, {75, 0.5}, {99, 0.02}}) {
    const TrainingRates rates = training_step(settings, step).rates;
    EXPECT_DOUBLE_EQ(rates.matrices, 0.01 * share) << step;
    EXPECT_DOUBLE_EQ(rates.embedding, 0.3 * share) << step;
    EXPECT_DOUBLE_EQ(rates.head, 0.004 * share) << step;
    EXPECT_DOUBLE_EQ(rates.residual, 0.005 * share) << step;
    EXPECT_DOUBLE_EQ(rates.input, 0.5 * share) << step;
    EXPECT_DOUBLE_EQ(rates.decay, 0.05 * (1 - step / 100.0)) << step;
  }
  // The half of five steps is two, as Python rounds: 1, 1, 1, 1, 1/2.
  TrainSettings five = settings;
  five.tokens = 5 * five.batch * five.context;
  ASSERT_EQ(five.steps(), 5);
  EXPECT_DOUBLE_EQ(training_step(five, 3).rates.matrices, 0.01);
  EXPECT_DOUBLE_EQ(training_step(five, 4).rates.matrices, 0.005);
  TrainSettings by_rule = settings;
  by_rule.rate = 0;
  by_rule.context = 1 << 19;
  by_rule.tokens = std::int64_t{100} << 19;
  EXPECT_DOUBLE_EQ(training_step(by_rule, 0).rates.matrices, 0.01);
  by_rule.width = 192;
  by_rule.layers = 24;
  EXPECT_DOUBLE_EQ(training_step(by_rule, 0).rates.matrices, 0.02);
  EXPECT_DOUBLE_EQ(training_step(by_rule, 0).rates.decay, 0.05 / 4);
}

TEST(TrainCourse, KappaWaitsThenRisesThenFallsByHalf) {
  TrainSettings settings = hundred_steps();
  for (const auto& [step, rate] :
       {std::pair{0, 0.0}, {10, 0.0}, {20, 0.3 * 0.5}, {30, 0.3}, {65, 0.3 * 0.7 * 0.75}}) {
    EXPECT_DOUBLE_EQ(training_step(settings, step).rates.kappa, rate) << step;
  }
  for (const auto& [step, bound] :
       {std::pair{0, 1.0}, {10, 1.0}, {20, 3.0}, {25, 4.0}, {99, 4.0}}) {
    EXPECT_DOUBLE_EQ(training_step(settings, step).bound, bound) << step;
  }
  settings.kappa_warmup = 1000;  // of which the run has 90
  EXPECT_DOUBLE_EQ(training_step(settings, 40).rates.kappa, 0.3 * 30 / 90);
  settings.kappa_delay = -1;
  EXPECT_EQ(kappa_delay(settings), 200);
  EXPECT_EQ(training_step(settings, 99).rates.kappa, 0);
  EXPECT_EQ(training_step(settings, 99).bound, 1);
  settings.tokens = 16 * 10'001;
  EXPECT_EQ(kappa_delay(settings), 501);
}

TEST(TrainCourse, BalanceHalvesAndSoftRoutingCoolsDown) {
  TrainSettings settings = hundred_steps();
  for (const auto& [step, balance] : {std::pair{0, 2e-3}, {50, 1.9e-3}, {500, 1e-3}, {600, 1e-3}}) {
    EXPECT_DOUBLE_EQ(training_step(settings, step).balance, balance) << step;
  }
  EXPECT_EQ(training_step(settings, 0).temperature, 1);
  settings.router = "softmoe";  // T from 5 to 1
  for (const auto& [step, temperature] : {std::pair{0, 5.0}, {50, 3.0}, {100, 1.0}, {101, 1.0}}) {
    EXPECT_DOUBLE_EQ(training_step(settings, step).temperature, temperature) << step;
  }
  EXPECT_TRUE(training_step(settings, 40).describe);
  EXPECT_FALSE(training_step(settings, 41).describe);
  settings.describe_every = 0;
  EXPECT_FALSE(training_step(settings, 40).describe);
}

TEST(TrainSettings, BoundsAreWhereTheErrorsSayTheyAre) {
  const struct {
    const char* fault;  // how it begins; "": none
    std::function<void(TrainSettings&)> change;
  } cases[] = {
      {"", [](TrainSettings&) {}},
      {"", [](TrainSettings& s) { s.layers = 1024; }},
      {"--layers: expected 1 to 1024, found 1025", [](TrainSettings& s) { s.layers = 1025; }},
      {"--layers: expected 1 to 1024, found 0", [](TrainSettings& s) { s.layers = 0; }},
      {"", [](TrainSettings& s) { s.top_k = s.experts; }},
      {"--top-k: ", [](TrainSettings& s) { s.top_k = s.experts + 1; }},
      {"--top-k: ", [](TrainSettings& s) { s.top_k = 0; }},
      {"--kv-heads: expected a divisor of 24, found 5", [](TrainSettings& s) { s.kv_heads = 5; }},
      {"--bound: ", [](TrainSettings& s) { s.bound = 0; }},
      {"--temperature: expected a number over 0, at most 1e+09, found 0",
       [](TrainSettings& s) { s.temperature = 0; }},
      {"--temperature-start: expected a number over 0, at most 1e+09, found 0",
       [](TrainSettings& s) { s.temperature_start = 0; }},
      {"", [](TrainSettings& s) { s.temperature_start = 0.5; }},
      {"--threshold: ", [](TrainSettings& s) { s.threshold = 1; }},
      {"", [](TrainSettings& s) { s.threshold = 0.999; }},
      {"", [](TrainSettings& s) { s.budget = 1; }},
      {"--budget: expected at least 1 ", [](TrainSettings& s) { s.budget = 0.99; }},
      {"", [](TrainSettings& s) { s.expansion = 0; }},
      {"--expansion: ", [](TrainSettings& s) { s.expansion = -1; }},
      {"", [](TrainSettings& s) { s.batch = (1 << 28) / 16; }},
      {"--batch: ", [](TrainSettings& s) { s.batch = (1 << 28) / 16 + 1; }},
      {"--context: ", [](TrainSettings& s) { s.context = 1; }},
      {"--tokens: expected at least 1, found 0", [](TrainSettings& s) { s.tokens = 0; }},
      {"--tokens: ", [](TrainSettings& s) { s.tokens = (std::int64_t{1} << 40) + 1; }},
      {"", [](TrainSettings& s) { s.seed = 0; }},
      {"--seed: ", [](TrainSettings& s) { s.seed = -1; }},
      {"", [](TrainSettings& s) { s.kappa_delay = -1; }},
      {"--kappa-delay: ", [](TrainSettings& s) { s.kappa_delay = -2; }},
      {"", [](TrainSettings& s) { s.decay = 0; }},
      {"--weight-decay: ", [](TrainSettings& s) { s.decay = INFINITY; }},
      {"--micro-batch: expected a divisor of --batch 8, found 3",
       [](TrainSettings& s) { s.batch = 8, s.micro_batch = 3; }},
      {"", [](TrainSettings& s) { s.batch = 8, s.micro_batch = 4; }},
  };
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    TrainSettings settings = hundred_steps();
    cases[i].change(settings);
    const std::string found = settings_faults(settings), expected = cases[i].fault;
    EXPECT_EQ(expected.empty() ? found : found.substr(0, expected.size()), expected)
        << "case " << i << ": " << found;
  }
}

}  // namespace
}  // namespace kappascope
