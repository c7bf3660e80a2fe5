#include "app/cli/score_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "app/cli/terminal.h"
#include "app/cli/text_table.h"
#include "core/error.h"
#include "core/stats/summary.h"
#include "core/trace/csv_rows.h"

namespace kappascope {
namespace {

constexpr const char* kScoreSchema = "kappascope.score/1";

Json with_interval(Json json, const Interval& interval) {
  json["low"] = number_json(interval.low);
  json["high"] = number_json(interval.high);
  return json;
}

Json mean_json(double mean, const Interval& interval) {
  return with_interval({{"mean", number_json(mean)}}, interval);
}

Json paired_json(const PairedNumber& one) {
  Json json = mean_json(one.mean, one.interval);
  json["sign"] = {{"positive", one.sign.positive},
                  {"negative", one.sign.negative},
                  {"zero", one.sign.zero},
                  {"p", number_json(one.sign.p)}};
  return json;
}

Json summary_of(const ScoredRun& run, std::size_t t) {
  const TaskSummary& one = run.summaries[t];
  Json json{{"accuracy", mean_json(one.accuracy, one.interval)},
            {"centred_accuracy", number_json(one.centred.value)},
            {"gold_nll", number_json(one.gold_nll)},
            {"cropped_examples", run.cropped[t]}};
  if (one.unknown > 0) { json["unknown_examples"] = one.unknown; }
  return json;
}

Json task_json(const ScoreResult& result, std::size_t t) {
  const ScoreTask& task = result.tasks[t];
  Json json{{"task", task.name},
            {"source", task.file},
            {"sha256", task.sha256},
            {"task_type", name(task.type)},
            {"shots", task.shots},
            {"delimiter", task.delimiter},
            {"examples", task.examples.size()},
            {"random_baseline", task.baseline}};
  for (const ScoredRun& run : result.runs) { json["runs"].push_back(summary_of(run, t)); }
  if (!result.differences.empty()) {
    const TaskDifference& one = result.differences[t];
    json["difference"] = {{"accuracy", paired_json(one.accuracy)},
                          {"centred_accuracy", number_json(one.centred.value)},
                          {"gold_nll", paired_json(one.gold_nll)}};
  }
  return json;
}

// "31.2"; with a sign where it is a difference.
std::string fixed(double value, int digits, bool sign = false) {
  if (std::isnan(value)) { return "–"; }
  char text[64];
  std::snprintf(text, sizeof text, sign ? "%+.*f" : "%.*f", digits, value);
  return text;
}

std::string interval_text(const Interval& interval, double factor, int digits, bool sign = false) {
  if (std::isnan(interval.low)) { return "–"; }
  const std::string low = fixed(factor * interval.low, digits, sign);
  return join_words(low, sign ? " … " : "–", fixed(factor * interval.high, digits, sign));
}

std::string mean_line(const MeanOverTasks& mean, bool difference) {
  return join_words(difference ? "Δ mean" : "mean", " centred ", fixed(mean.mean, 4, difference),
                    ", 95 %: ", interval_text(mean.interval, 1, 4, true), "\n");
}

std::string run_table(const ScoreResult& result, const ScoredRun& run) {
  std::vector<TextRow> rows{{"task", "type", "shots", "examples", "by chance %", "right %", "95 %",
                             "centred", "NLL of the right"}};
  for (std::size_t t = 0; t < result.tasks.size(); ++t) {
    const ScoreTask& task = result.tasks[t];
    const TaskSummary& one = run.summaries[t];
    rows.push_back({printable(task.name), std::string(name(task.type)), std::to_string(task.shots),
                    std::to_string(task.examples.size()), fixed(task.baseline, 1),
                    fixed(100 * one.accuracy, 1), interval_text(one.interval, 100, 1),
                    fixed(one.centred.value, 4), fixed(one.gold_nll, 4)});
  }
  return join_words(printable(run.name), "\n", text_table(rows, 2), mean_line(run.mean, false));
}

std::string difference_table(const ScoreResult& result) {
  std::vector<TextRow> rows{{"task", "Δ right %", "95 %", "better", "worse", "p", "Δ centred",
                             "Δ NLL of the right", "95 %"}};
  for (std::size_t t = 0; t < result.tasks.size(); ++t) {
    const TaskDifference& one = result.differences[t];
    rows.push_back({printable(result.tasks[t].name), fixed(100 * one.accuracy.mean, 1, true),
                    interval_text(one.accuracy.interval, 100, 1, true),
                    std::to_string(one.accuracy.sign.positive),
                    std::to_string(one.accuracy.sign.negative), cell(one.accuracy.sign.p, 3),
                    fixed(one.centred.value, 4, true), fixed(one.gold_nll.mean, 4, true),
                    interval_text(one.gold_nll.interval, 1, 4, true)});
  }
  return join_words(printable(result.runs[0].name), " less ", printable(result.runs[1].name), "\n",
                    text_table(rows, 1), mean_line(result.mean_difference, true));
}

// The columns of a run: behind their names, what says which.
void put_header(CsvFile& csv, std::size_t options, const std::string& behind) {
  csv.text("choice" + behind);
  csv.text("right" + behind);
  for (std::size_t i = 0; i < options; ++i) {
    csv.text(join_words("nll_", i, behind));
    csv.text(join_words("tokens_", i, behind));
  }
}

void put_score(CsvFile& csv, const ExampleScore& score, std::size_t options) {
  csv.index(score.chosen);
  if (std::isnan(score.right)) {
    csv.absent();
  } else {
    csv.truth(score.right == 1);
  }
  for (std::size_t i = 0; i < options; ++i) {
    if (i < score.options.size()) {
      csv.number(score.options[i].mean());
      csv.integer(score.options[i].tokens);
    } else {
      csv.absent();
      csv.absent();
    }
  }
}

}  // namespace

void ScoreResult::summarise() {
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    const Resamples drawn(std::ssize(tasks[t].examples), resamples, seed + t);
    const double baseline = tasks[t].baseline;
    for (ScoredRun& run : runs) {
      run.summaries.push_back(summarise_task(run.scores[t], baseline, drawn));
    }
    if (runs.size() == 2) {
      differences.push_back(task_difference(runs[0].scores[t], runs[1].scores[t], baseline, drawn));
    }
  }
  const auto mean_of_tasks = [](const auto& list) {
    std::vector<const CentredAccuracy*> centred;
    for (const auto& one : list) { centred.push_back(&one.centred); }
    return mean_over_tasks(centred);
  };
  for (ScoredRun& run : runs) { run.mean = mean_of_tasks(run.summaries); }
  if (!differences.empty()) { mean_difference = mean_of_tasks(differences); }
}

Json score_json(const ScoreResult& result) {
  Json json{{"schema", kScoreSchema},
            {"command", printable(result.command)},
            {"resamples", result.resamples},
            {"seed", result.seed}};
  for (const ScoredRun& run : result.runs) {
    Json one = run.about;
    one["run"] = run.name;
    one["centred_accuracy"] = mean_json(run.mean.mean, run.mean.interval);
    json["runs"].push_back(std::move(one));
  }
  for (std::size_t t = 0; t < result.tasks.size(); ++t) {
    json["tasks"].push_back(task_json(result, t));
  }
  if (!result.differences.empty()) {
    json["difference"] = {{"centred_accuracy", mean_json(result.mean_difference.mean,
                                                         result.mean_difference.interval)}};
  }
  return json;
}

std::string score_text(const ScoreResult& result) {
  std::string text;
  for (const ScoredRun& run : result.runs) {
    text += (text.empty() ? "" : "\n") + run_table(result, run);
  }
  return result.differences.empty() ? text : text + "\n" + difference_table(result);
}

void write_score_csv(const std::filesystem::path& path, const ScoreResult& result) {
  std::size_t options = 0;
  for (const ScoreTask& task : result.tasks) {
    for (const TaskExample& example : task.examples) {
      options = std::max(options, example.options.size());
    }
  }
  CsvFile csv(path);
  for (const char* column : {"task", "example", "line", "gold"}) { csv.text(column); }
  for (std::size_t r = 0; r < result.runs.size(); ++r) {
    put_header(csv, options, r == 0 ? "" : "_against");
  }
  csv.end_row();
  for (std::size_t t = 0; t < result.tasks.size(); ++t) {
    const ScoreTask& task = result.tasks[t];
    for (std::size_t i = 0; i < task.examples.size(); ++i) {
      csv.text(task.name);
      csv.integer(std::int64_t(i));
      csv.integer(task.examples[i].line);
      csv.index(task.type == TaskType::language_modeling ? -1 : task.examples[i].gold);
      for (const ScoredRun& run : result.runs) { put_score(csv, run.scores[t][i], options); }
      csv.end_row();
    }
  }
  csv.finish();
}

}  // namespace kappascope
