#include "core/stats/task_scores.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/stats/mean.h"

namespace kappascope {
namespace {

template <typename Number>
std::vector<double> numbers_of(std::span<const ExampleScore> scores, Number&& number) {
  std::vector<double> values;
  for (const ExampleScore& score : scores) { values.push_back(number(score)); }
  return values;
}

double right_of(const ExampleScore& score) {
  return score.right;
}

double gold_nll_of(const ExampleScore& score) {
  return score.gold_nll();
}

double mean_value(std::span<const double> values) {
  Mean mean;
  for (const double value : values) { mean.add(value); }
  return mean.value();
}

// A's less B's.
template <typename Number>
std::vector<double> differences(std::span<const ExampleScore> a, std::span<const ExampleScore> b,
                                Number&& number) {
  std::vector<double> values;
  for (std::size_t i = 0; i < a.size(); ++i) { values.push_back(number(a[i]) - number(b[i])); }
  return values;
}

PairedNumber paired(std::span<const double> values, const Resamples& resamples) {
  return {mean_value(values), resamples.interval(values), sign_test(values)};
}

// Of right or not, or of the differences of such.
CentredAccuracy centred(std::span<const double> right, double baseline, double less,
                        const Resamples& resamples) {
  const auto of = [&](double mean) { return (mean - less) / (1 - 0.01 * baseline); };
  CentredAccuracy result{of(mean_value(right)), resamples.means(right)};
  for (double& value : result.resampled) { value = of(value); }
  return result;
}

}  // namespace

ExampleScore score_example(std::vector<OptionLoss> options, std::int64_t gold, Answer answer) {
  ExampleScore score{std::move(options), gold};
  const bool finite = std::all_of(score.options.begin(), score.options.end(),
                                  [](const OptionLoss& one) { return std::isfinite(one.mean()); });
  if (!finite) { return score; }
  if (answer == Answer::likeliest) {
    score.right = score.options[gold].likeliest ? 1 : 0;
    return score;
  }
  const auto lowest = std::min_element(
      score.options.begin(), score.options.end(),
      [](const OptionLoss& x, const OptionLoss& y) { return x.mean() < y.mean(); });
  score.chosen = lowest - score.options.begin();
  score.right = score.chosen == gold ? 1 : 0;
  return score;
}

TaskSummary summarise_task(std::span<const ExampleScore> scores, double baseline,
                           const Resamples& resamples) {
  const std::vector<double> right = numbers_of(scores, right_of);
  TaskSummary summary;
  summary.accuracy = mean_value(right);
  summary.interval = resamples.interval(right);
  summary.centred = centred(right, baseline, 0.01 * baseline, resamples);
  summary.gold_nll = mean_value(numbers_of(scores, gold_nll_of));
  summary.unknown =
      std::count_if(right.begin(), right.end(), [](double value) { return std::isnan(value); });
  return summary;
}

TaskDifference task_difference(std::span<const ExampleScore> a, std::span<const ExampleScore> b,
                               double baseline, const Resamples& resamples) {
  const std::vector<double> right = differences(a, b, right_of);
  return {paired(right, resamples), paired(differences(a, b, gold_nll_of), resamples),
          centred(right, baseline, 0, resamples)};
}

MeanOverTasks mean_over_tasks(const std::vector<const CentredAccuracy*>& tasks) {
  const auto count = static_cast<double>(tasks.size());
  double sum = 0;
  std::vector<double> resampled;
  bool all = true;
  for (const CentredAccuracy* task : tasks) {
    sum += task->value;
    all = all && !task->resampled.empty();
    resampled.resize(std::max(resampled.size(), task->resampled.size()), 0);
    for (std::size_t r = 0; r < task->resampled.size(); ++r) {
      resampled[r] += task->resampled[r] / count;
    }
  }
  return {sum / count, all ? interval_of(std::move(resampled)) : Interval{}};
}

}  // namespace kappascope
