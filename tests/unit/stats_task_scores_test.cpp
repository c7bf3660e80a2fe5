// Choices by mean loss, accuracy above chance, and paired differences.
#include "core/stats/task_scores.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kappascope {
namespace {

ExampleScore scored(double first, double second, std::int64_t gold) {
  return score_example({{first, 1, false}, {second, 2, false}}, gold, Answer::lowest_loss);
}

TEST(TaskScores, TheLowestMeanIsChosen) {
  EXPECT_EQ(scored(2, 3, 1).chosen, 1);  // 1.5 a token
  EXPECT_EQ(scored(2, 3, 1).right, 1);
  EXPECT_EQ(scored(2, 3, 0).right, 0);
  EXPECT_EQ(scored(1, 2, 1).chosen, 0);  // the first of equal ones
  EXPECT_EQ(scored(2, 3, 1).gold_nll(), 1.5);
  const ExampleScore unknown = scored(kNaN, 1, 1);
  EXPECT_EQ(unknown.chosen, -1);
  EXPECT_TRUE(std::isnan(unknown.right));
  EXPECT_TRUE(std::isnan(score_example({{0, 0, true}, {1, 1}}, 0, Answer::lowest_loss).right));
  EXPECT_EQ(score_example({{9, 3, true}}, 0, Answer::likeliest).right, 1);
  EXPECT_EQ(score_example({{9, 3, false}}, 0, Answer::likeliest).right, 0);
  EXPECT_EQ(score_example({{9, 3, true}}, 0, Answer::likeliest).chosen, -1);
}

TEST(TaskScores, AccuracyAboveChance) {
  const std::vector<ExampleScore> a = {scored(1, 4, 0), scored(1, 4, 0), scored(1, 4, 1),
                                       scored(kNaN, 4, 1)};
  const Resamples resamples(4, 200, 1);
  const TaskSummary summary = summarise_task(a, 25, resamples);
  EXPECT_DOUBLE_EQ(summary.accuracy, 2.0 / 3);
  EXPECT_DOUBLE_EQ(summary.centred.value, (2.0 / 3 - 0.25) / 0.75);
  EXPECT_EQ(summary.unknown, 1);
  EXPECT_DOUBLE_EQ(summary.gold_nll, (1 + 1 + 2 + 2) / 4.0);
  EXPECT_EQ(summary.centred.resampled.size(), 200U);
  EXPECT_LE(summary.interval.low, summary.accuracy);
  EXPECT_GE(summary.interval.high, summary.accuracy);
}

TEST(TaskScores, DifferencesArePaired) {
  const std::vector<ExampleScore> a = {scored(1, 4, 0), scored(1, 4, 0), scored(1, 4, 1)};
  const std::vector<ExampleScore> b = {scored(3, 4, 0), scored(3, 4, 0), scored(1, 6, 1)};
  const Resamples resamples(3, 500, 7);
  const TaskDifference found = task_difference(a, b, 50, resamples);
  EXPECT_DOUBLE_EQ(found.accuracy.mean, 2.0 / 3);
  EXPECT_EQ(found.accuracy.sign.positive, 2);
  EXPECT_EQ(found.accuracy.sign.negative, 0);
  EXPECT_EQ(found.accuracy.sign.p, 0.5);
  EXPECT_DOUBLE_EQ(found.centred.value, 4.0 / 3);
  EXPECT_DOUBLE_EQ(found.gold_nll.mean, (-2 - 2 - 1) / 3.0);
  EXPECT_EQ(found.accuracy.interval.high, 1);
  const MeanOverTasks mean = mean_over_tasks({&found.centred, &found.centred});
  EXPECT_DOUBLE_EQ(mean.mean, 4.0 / 3);
  EXPECT_EQ(mean.interval.high, 2);
  const CentredAccuracy alone{1, {}};
  EXPECT_TRUE(std::isnan(mean_over_tasks({&found.centred, &alone}).interval.low));
}

}  // namespace
}  // namespace kappascope
