// What a model makes of tasks: right or not of every example, accuracy above chance, and paired
// differences between two runs of the same examples.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/nan.h"
#include "core/stats/paired.h"

namespace kappascope {

// The loss of one option's tokens.
struct OptionLoss {
  double sum = kNaN;        // nats
  std::int64_t tokens = 0;  // 0: nothing tells it from the others, it has no mean
  bool likeliest = false;   // each of them is the likeliest next token
  double mean() const { return sum / static_cast<double>(tokens); }
};

// How an example is answered.
enum class Answer : std::uint8_t {
  lowest_loss,  // by the option with the lowest mean loss, the first of equal ones
  likeliest     // the one option is right where each of its tokens is the likeliest
};

struct ExampleScore {
  std::vector<OptionLoss> options;
  std::int64_t gold = 0;     // the right one
  std::int64_t chosen = -1;  // by lowest_loss; −1: none, some mean is not finite
  double right = kNaN;       // 1, 0; NaN: not known, some mean is not finite

  double gold_nll() const { return options[gold].mean(); }  // nats a token
};
ExampleScore score_example(std::vector<OptionLoss> options, std::int64_t gold, Answer answer);

// (accuracy − baseline) / (1 − baseline), `baseline` in per cent below 100: 0 by chance, 1 all
// right. Of two runs the difference of both.
struct CentredAccuracy {
  double value = kNaN;
  std::vector<double> resampled;  // of each resample; empty with fewer than two examples
};

// One run of one task.
struct TaskSummary {
  double accuracy = kNaN;  // over the examples that are known
  Interval interval;       // 95 %
  CentredAccuracy centred;
  double gold_nll = kNaN;    // mean over examples, nats a token
  std::int64_t unknown = 0;  // examples with a mean that is not finite
};
TaskSummary summarise_task(std::span<const ExampleScore> scores, double baseline,
                           const Resamples& resamples);

// A number of run A less that of run B, over the examples of a task.
struct PairedNumber {
  double mean = kNaN;
  Interval interval;  // 95 %
  SignTest sign;      // of `right`: McNemar's exact test
};
struct TaskDifference {
  PairedNumber accuracy, gold_nll;
  CentredAccuracy centred;
};
TaskDifference task_difference(std::span<const ExampleScore> a, std::span<const ExampleScore> b,
                               double baseline, const Resamples& resamples);

// The mean over tasks, each resampled for itself.
struct MeanOverTasks {
  double mean = kNaN;  // NaN where a task has none
  Interval interval;   // 95 %; none where a task has fewer than two examples
};
MeanOverTasks mean_over_tasks(const std::vector<const CentredAccuracy*>& tasks);

}  // namespace kappascope
