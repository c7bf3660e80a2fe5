#include "app/cli/report_comparison.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "app/cli/report_parts.h"
#include "core/figure/text.h"
#include "core/stats/importance.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {
namespace {

constexpr std::int64_t kMostDifferenceRows = 2000;

ReportTable runs_table(const ComparedResult& result) {
  std::vector<std::string> run, model;
  std::vector<double> step, nll, bits;
  std::vector<std::int64_t> tokens;
  for (std::size_t r = 0; r < result.runs.size(); ++r) {
    const Trace& trace = result.runs[r].whole();
    run.push_back(result.names[r]);
    model.push_back(trace.model_name);
    step.push_back(trace.step >= 0 ? static_cast<double>(trace.step) : kNaN);
    tokens.push_back(tokens_run(trace));
    nll.push_back(mean_nll_of(trace).value());
    bits.push_back(bits_per_byte(trace).value);
  }
  ReportTable table{.title = "Runs", .headed = true};
  table.table.rows = std::ssize(tokens);
  table.table.columns = {{"run", std::move(run)},      {"model", std::move(model)},
                         {"step", std::move(step)},    {"tokens", std::move(tokens)},
                         {"nll_mean", std::move(nll)}, {"bits_per_byte", std::move(bits)}};
  drop_empty_columns(table.table);
  return table;
}

// A row a field, a column a run.
ReportTable fields_table(const ComparedResult& result) {
  ReportTable table{.title = "Where the configurations differ", .headed = true};
  std::vector<std::string> fields;
  for (const DifferentField& field : result.fields) { fields.push_back(field.name); }
  table.table.rows = std::ssize(fields);
  table.table.columns = {{"field", std::move(fields)}};
  for (std::size_t r = 0; r < result.runs.size(); ++r) {
    std::vector<std::string> values;
    for (const DifferentField& field : result.fields) { values.push_back(field.values.at(r)); }
    table.table.columns.push_back({result.names[r], std::move(values)});
  }
  return table;
}

// Those rows of the table of differences that have a layer, or those that have none.
Table difference_rows(const Table& all, bool layers) {
  Table part;
  const auto& layer = std::get<std::vector<double>>(all.columns.at(2).values);
  for (const Column& column : all.columns) {
    Column own{column.name, {}};
    std::visit(
        [&](const auto& values) {
          std::decay_t<decltype(values)> kept;
          for (std::size_t row = 0; row < layer.size(); ++row) {
            if (std::isnan(layer[row]) != layers) { kept.push_back(values[row]); }
          }
          part.rows = std::ssize(kept);
          own.values = std::move(kept);
        },
        column.values);
    part.columns.push_back(std::move(own));
  }
  drop_empty_columns(part);
  return part;
}

ReportPart differences_part(const ComparedResult& result) {
  ReportPart part{.title = "Differences"};
  part.text = {"Every difference is the run less the one against which it stands."};
  const bool corpus = result.runs[0].whole().corpus != nullptr;
  const bool interval =
      std::any_of(result.sides.begin(), result.sides.end(),
                  [](const SideComparison& side) { return std::isfinite(side.nll.interval.low); });
  if (corpus && !interval) {
    part.text.emplace_back("No interval: the results are not of the same resamples of documents.");
  } else if (result.runs[0].texts.size() < 2) {
    part.text.emplace_back(corpus
                               ? "low and high are the ends of the 95 % interval over resamples of "
                                 "the corpus's documents."
                               : "One text: intervals and tests need several.");
  } else {
    part.text.push_back("low and high are the ends of the 95 % interval of the mean over the " +
                        count_text(std::ssize(result.runs[0].texts)) + " texts, from " +
                        count_text(result.resamples) + " resamples.");
  }
  for (const SideComparison& side : result.sides) {
    if (side.rows_differ.empty()) { continue; }
    part.text.push_back("Layers of " + result.names[side.a[0]] + " and " + result.names[side.b[0]] +
                        " are not compared one by one: " + side.rows_differ + ".");
  }
  Table all = difference_table(result);
  if (result.runs[0].texts.size() < 2) {  // their p is 1
    std::erase_if(all.columns, [](const Column& column) {
      return column.name == "sign_p" || column.name == "wilcoxon_p" || column.name == "texts";
    });
  }
  part.tables.push_back(
      {.title = "Differences of the whole run", .table = difference_rows(all, false)});
  Table layers = difference_rows(all, true);
  if (layers.rows > 0) {
    part.tables.push_back({.title = "Differences by layer and statistic",
                           .table = std::move(layers),
                           .most_rows = kMostDifferenceRows,
                           .all_rows = "`kappascope compare` writes all",
                           .folded = true});
  }
  return part;
}

}  // namespace

std::vector<ReportPart> comparison_parts(const ComparedResult& result) {
  ReportPart runs{.title = "Runs"};
  runs.tables.push_back(runs_table(result));
  if (!result.fields.empty()) { runs.tables.push_back(fields_table(result)); }
  return {std::move(runs), differences_part(result)};
}

std::vector<ReportPart> single_run_parts(const ComparedResult& result, bool metadata) {
  std::vector<ReportPart> parts = {{.title = "Each run"}};
  for (std::size_t r = 0; r < result.runs.size(); ++r) {
    const ComparedRun& run = result.runs[r];
    parts.push_back(run_part(run.whole(), result.names[r], 3, metadata));
    if (run.texts.size() > 1) { parts.back().tables.push_back(texts_table(run, metadata)); }
    for (ReportTable& table : layer_tables(run.whole(), result.whole[r], true)) {
      parts.back().tables.push_back(std::move(table));
    }
  }
  return parts;
}

}  // namespace kappascope
