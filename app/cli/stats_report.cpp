#include "app/cli/stats_report.h"

#include <utility>

#include "app/cli/layer_table.h"
#include "app/cli/terminal.h"
#include "core/stats/paired.h"
#include "core/stats/router.h"
#include "core/trace/corpus_totals.h"
#include "core/trace/csv_rows.h"
#include "core/trace/meta.h"
#include "core/trace/output_file.h"
#include "core/trace/stats_file.h"

namespace kappascope {
namespace {

constexpr const char* kStatsReportSchema = "kappascope.stats-summary/1";

// 95 % of value(b) over the resamples; NaN where one has none.
template <typename Value>
Interval interval_over_resamples(Value&& value) {
  std::vector<double> values;
  for (std::int64_t b = 0; b < kResamples; ++b) { values.push_back(value(b)); }
  return interval_of(std::move(values));
}

Json interval_json(const Interval& interval) {
  return {{"low", number_json(interval.low)}, {"high", number_json(interval.high)}};
}

// Load of expert e in a resample.
double resampled_load(const RowTotals& row, std::int64_t b, std::int64_t e) {
  const auto experts = std::ssize(row.choices.assigned);
  const std::int64_t* counts = row.resampled_assigned.data() + b * experts;
  std::int64_t all = 0;
  for (std::int64_t i = 0; i < experts; ++i) { all += counts[i]; }
  return all > 0 ? double(counts[e]) / double(all) : kNaN;
}

Json over_calls_json(const RowTotals& row) {
  const auto calls = double(row.calls);
  return {{"calls", row.calls},
          {"load_entropy", number_json(calls > 0 ? row.call_load_entropy.value() / calls : kNaN)},
          {"load_cv", number_json(calls > 0 ? row.call_load_cv.value() / calls : kNaN)}};
}

}  // namespace

StatsReport::StatsReport(const Trace& trace) : trace_(trace), layers_(summarise(trace)) {}

Json StatsReport::json() const {
  const CorpusTotals& totals = *trace_.corpus;
  Json json = summary_json(trace_, layers_);
  json["schema"] = kStatsReportSchema;
  json["documents"] = totals.documents;
  json["failed_documents"] = totals.failed_documents;
  json["bytes"] = totals.bytes;
  json["quantile_rank_error"] = totals.quantile_error();
  json["score_rank_error"] = totals.score_error();
  if (const Json* corpus = meta_at(trace_, "corpus")) { json["corpus"] = *corpus; }
  json["interval"] = {{"resamples", kResamples}, {"seed", totals.seed}, {"share", 0.95}};
  json["nll_interval"] = interval_json(
      interval_over_resamples([&](std::int64_t b) { return totals.resampled_nll.value(b); }));
  for (std::size_t r = 0; r < totals.rows.size(); ++r) {
    const RowTotals& row = totals.rows[r];
    Json& layer = json["layers"][r];
    layer["over_calls"] = over_calls_json(row);
    layer["kappa_mean_interval"] = interval_json(
        interval_over_resamples([&](std::int64_t b) { return row.resampled_kappa.value(b); }));
    layer["effect_mean_interval"] = interval_json(
        interval_over_resamples([&](std::int64_t b) { return row.resampled_effect.value(b); }));
  }
  return json;
}

std::string StatsReport::text() const {
  return layer_table(trace_, layers_, mean_nll_of(trace_).value());
}

void StatsReport::write_csv(const std::filesystem::path& path) const {
  CsvFile csv(path);
  for (const char* name :
       {"layer", "pass", "expert", "assigned", "kept", "first_choice", "load", "load_low",
        "load_high", "gate_mass", "saliency", "contribution", "mean_selected_logit"}) {
    csv.text(name);
  }
  csv.end_row();
  const auto of = [](const std::vector<double>& values, std::int64_t e) {
    return e < std::ssize(values) ? values[e] : kNaN;
  };
  for (std::size_t r = 0; r < layers_.size(); ++r) {
    const LayerSummary& layer = layers_[r];
    const RowTotals& row = trace_.corpus->rows[r];
    for (std::int64_t e = 0; e < std::ssize(row.choices.assigned); ++e) {
      for (const std::int64_t number : {layer.layer, layer.pass, e, row.choices.assigned[e],
                                        row.choices.kept[e], row.choices.first_choice[e]}) {
        csv.integer(number);
      }
      const Interval interval =
          interval_over_resamples([&](std::int64_t b) { return resampled_load(row, b, e); });
      for (const double number :
           {of(layer.load, e), interval.low, interval.high, of(layer.gate_mass, e),
            of(layer.saliency, e), of(layer.contribution, e), of(layer.mean_selected_logit, e)}) {
        csv.number(number);
      }
      csv.end_row();
    }
  }
  csv.finish();
}

void publish_result(OutputFolder& folder, const CorpusTotals& totals, Json meta,
                    const std::function<void(const std::filesystem::path&)>& write_parameters,
                    const ResultWords& words) {
  Json& failures = meta["corpus"]["failures"] = Json::array();
  for (const auto& [failure, count] : totals.failures) { failures.push_back(failure); }
  write_stats(folder.staged(kStatsFile), totals, std::move(meta));
  write_parameters(folder.staged(kModelFile));
  const Trace trace = open_trace(folder.staged(kStatsFile));
  const StatsReport report(trace);
  const std::string document = json_text(report.json());
  write_file(folder.staged(kStatsJson), document);
  report.write_csv(folder.staged(kStatsCsv));
  std::vector<std::string> names{kStatsFile, kStatsJson, kStatsCsv};
  if (std::filesystem::exists(folder.staged(kModelFile))) {
    names.insert(names.begin(), kModelFile);
  }
  folder.publish({}, names);
  print(words.json ? document : words.quiet ? "" : report.text());
}

}  // namespace kappascope
